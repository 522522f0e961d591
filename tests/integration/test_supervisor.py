"""Children that live and die together."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from orchestration.supervisor import Supervisor, supervising
from warehouse.errors import MeterhouseError

STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"


def start(supervisor: Supervisor, code: str, log: Path) -> None:
    supervisor.start("a child", [sys.executable, "-c", code], os.environ, log)


def test_a_child_that_ignores_ctrl_c_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.supervisor.STOP_SECONDS", 1)
    with pytest.raises(KeyboardInterrupt), supervising() as supervisor:
        start(supervisor, STUBBORN, tmp_path / "log")
        (child,) = supervisor._children
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    with pytest.raises(MeterhouseError):
        child.check()


def test_a_child_that_ends_by_itself_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with supervising() as supervisor:
        start(supervisor, "print('no such port'); raise SystemExit(3)", tmp_path / "log")
        supervisor._children[0].wait(10)
        with pytest.raises(MeterhouseError, match=r"ended with status 3(.|\n)*no such port"):
            supervisor.check()
