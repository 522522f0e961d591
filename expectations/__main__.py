"""``python -m expectations``: check one state of the lakes and print the results as JSON.

Standard output carries the results and nothing else. The exit status is 0 when the checks ran,
whatever they found, and 2 when they could not run.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import TextIO

from expectations.runner import COULD_NOT_RUN
from expectations.tables import Scope
from warehouse.errors import MeterhouseError
from warehouse.parents import end_with_parent
from warehouse.settings import load_settings


def parse_days(text: str) -> tuple[date, ...]:
    """Days separated by commas, as ``2026-11-01,2026-11-02``; none at all for an empty text."""
    try:
        return tuple(date.fromisoformat(day.strip()) for day in text.split(",") if day.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; write days like 2026-11-01") from error


def parse_arguments(arguments: Sequence[str]) -> Scope | None:
    """What to check; None when it will come on standard input."""
    parser = argparse.ArgumentParser(prog="python -m expectations", description=__doc__)
    parser.add_argument("--marts-snapshot", type=int, help="snapshot of the marts lake")
    parser.add_argument("--raw-snapshot", type=int, help="snapshot of the raw lake")
    parser.add_argument("--raw-load-id", type=int, help="highest batch to look at")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--days", type=parse_days, help="UTC days; those just touched by default")
    which.add_argument("--all", action="store_true", dest="everything", help="all days")
    parser.add_argument("--stdin", action="store_true", help="read the request as one JSON line")
    given = parser.parse_args(arguments)
    if given.stdin:
        return None
    if None in (given.marts_snapshot, given.raw_snapshot, given.raw_load_id):
        parser.error("--marts-snapshot, --raw-snapshot and --raw-load-id are needed")
    return Scope(
        marts_snapshot=given.marts_snapshot,
        raw_snapshot=given.raw_snapshot,
        raw_load_id=given.raw_load_id,
        days=given.days,
        everything=given.everything,
    )


def scope_from_request(line: str) -> Scope:
    """The request that ``expectations.runner`` sends."""
    request = json.loads(line)
    days = request.pop("days")
    return Scope(
        **request, days=None if days is None else tuple(date.fromisoformat(day) for day in days)
    )


def main(arguments: Sequence[str], results: TextIO) -> int:
    """Check and print; returns the exit status."""
    scope = parse_arguments(arguments)
    from expectations.validation import run_checks

    if scope is None:
        line = sys.stdin.readline()
        if not line.strip():
            return COULD_NOT_RUN
        scope = scope_from_request(line)
    try:
        found = run_checks(load_settings(), scope)
    except MeterhouseError as error:
        print(error, file=sys.stderr)
        return COULD_NOT_RUN
    json.dump([asdict(result) for result in found], results, indent=1)
    results.write("\n")
    results.flush()
    return 0


def _run() -> int:
    """Keep standard output for the results: whatever a library prints goes to standard error."""
    end_with_parent()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as results:
        os.dup2(2, 1)
        try:
            return main(sys.argv[1:], results)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(_run())
