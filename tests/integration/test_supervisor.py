"""Children that live and die together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestration.supervisor import Supervisor, supervising
from warehouse.errors import MeterhouseError
from warehouse.parents import PARENT as PARENT_ID
from warehouse.parents import as_parent
from warehouse.settings import ROOT

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(600)"
)
PATIENCE = 120
"""Seconds after which even a busy machine would have done what a test waits for."""


def start(supervisor: Supervisor, code: str, log: Path) -> None:
    supervisor.start("a child", [sys.executable, "-c", code], os.environ, log)


def test_a_child_that_ignores_ctrl_c_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.supervisor.STOP_SECONDS", 1)
    with pytest.raises(KeyboardInterrupt), supervising() as supervisor:
        start(supervisor, STUBBORN, tmp_path / "log")
        (child,) = supervisor._children
        until_said(tmp_path / "log")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
    assert child.wait(PATIENCE)
    with pytest.raises(MeterhouseError):
        child.check()


def test_a_child_that_ends_by_itself_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with supervising() as supervisor:
        start(supervisor, "print('no such port'); raise SystemExit(3)", tmp_path / "log")
        supervisor._children[0].wait(PATIENCE)
        with pytest.raises(MeterhouseError, match=r"ended with status 3(.|\n)*no such port"):
            supervisor.check()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def until_said(log: Path) -> str:
    """What a child said, once its line is whole."""
    end = time.monotonic() + PATIENCE
    while not (log.exists() and (said := log.read_text()).endswith("\n")):
        assert time.monotonic() < end, "the child says nothing"
        time.sleep(0.1)
    return said


def until_gone(pid: int) -> None:
    end = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < end, f"{pid} still runs"
        time.sleep(0.1)


PARENT = """
import os, sys, time
from pathlib import Path
from orchestration.supervisor import Supervisor
code = "import os, signal, subprocess, sys, time\\n"
code += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
code += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\\n"
code += "print(os.getpid(), p.pid, flush=True); time.sleep(600)"
Supervisor().start("a child", [sys.executable, "-c", code], os.environ, Path(sys.argv[1]))
time.sleep(600)
"""


def test_a_parent_that_is_killed_takes_children_and_grandchildren_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log)], cwd=ROOT)
    child, grandchild = map(int, until_said(log).split())
    assert is_alive(child) and is_alive(grandchild)
    parent.kill()
    parent.wait()
    until_gone(child)
    until_gone(grandchild)


def test_a_process_whose_parent_is_gone_ends_at_once(tmp_path: Path) -> None:
    code = "from warehouse.parents import end_with_parent; import time; end_with_parent(); "
    started = subprocess.Popen(
        [sys.executable, "-c", code + "time.sleep(600)"],
        cwd=ROOT,
        env=os.environ | {PARENT_ID: "1"},
    )
    assert started.wait(PATIENCE) == 1
    mine = subprocess.Popen(
        [sys.executable, "-c", code + "time.sleep(1.5)"], cwd=ROOT, env=os.environ | as_parent()
    )
    assert mine.wait(PATIENCE) == 0
