"""Copying a SQLite file in one consistent state, whatever is written to it meanwhile."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

from warehouse.errors import MeterhouseError

_COPY = """
import sqlite3, sys
source = sqlite3.connect(sys.argv[1], uri=True, timeout=10)
copy = sqlite3.connect(sys.argv[2])
source.backup(copy)
copy.execute("pragma journal_mode = " + sys.argv[3])
problems = ["ok"]
if sys.argv[4] == "checked":
    problems = [row[0] for row in copy.execute("pragma quick_check")]
copy.close()
source.close()
if problems != ["ok"]:
    sys.exit("it is damaged: " + problems[0])
"""


def copy_sqlite(
    source: Path,
    target: Path,
    *,
    journal_mode: Literal["delete", "wal"] = "delete",
    is_checked: bool = False,
) -> None:
    """Copy a SQLite file and leave the copy in ``journal_mode``, its pages checked if asked.

    In a process of its own: DuckDB brings a SQLite of its own, and when one of two in a process
    closes a file, the locks of the other on it are gone (sqlite.org, "How To Corrupt", 2.2.1).
    Raises MeterhouseError with what went wrong.
    """
    address = f"{source.absolute().as_uri()}?mode=ro"
    check = "checked" if is_checked else "unchecked"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _COPY, address, str(target), journal_mode, check],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise MeterhouseError(f"the SQLite file {source} cannot be copied: {reason[-500:]}")
