"""Child processes that live and die together, and with this one, also when it is killed."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from warehouse.errors import MeterhouseError
from warehouse.settings import ROOT

STOP_SECONDS = 10

TETHERED = (sys.executable, "-I", "-S", str(Path(__file__).with_name("tether.py")))
"""In front of a command: end it when the pipe at its standard input closes."""


class Child:
    """A command in a process group of its own, its output in a log file."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*TETHERED, *command],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises MeterhouseError when the process has ended."""
        status = self._process.poll()
        if status is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
            raise MeterhouseError(
                f"{self.name} ended with status {status}; {self.log} ends:\n{tail}"
            )

    def send(self, number: int) -> None:
        """Send a signal to the whole group."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """Let go of the pipe by which the child sees that this process lives."""
        if self._process.stdin:
            self._process.stdin.close()

    def wait(self, seconds: float) -> bool:
        """Whether the group has ended after at most ``seconds``."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._process.poll()
            try:
                os.killpg(self._process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return True
            time.sleep(0.1)
        return False


class Supervisor:
    """Starts children and watches over them."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> Child:
        """Start one more child."""
        child = Child(name, command, environment, log)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raises MeterhouseError when one of the children has ended."""
        for child in self._children:
            child.check()

    def wait_for(self, address: str, seconds: float) -> None:
        """Wait until an address answers. Raises MeterhouseError when it does not in time."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 (our own)
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if time.monotonic() > until:
                raise MeterhouseError(f"{address} did not answer within {seconds:g} seconds")
            time.sleep(0.3)

    def stop(self) -> None:
        """Stop every child's group: politely, then firmly."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for child in self._children:
                child.send(number)
            ended = [child.wait(STOP_SECONDS) for child in self._children]
            if all(ended):
                break
        for child in self._children:
            child.close()
        self._children.clear()


@contextmanager
def supervising() -> Iterator[Supervisor]:
    """A supervisor whose children end with the block, on Ctrl-C as on SIGTERM and SIGHUP.

    A shell starts background jobs with SIGINT ignored; here it counts all the same.
    """

    def leave(number: int, _: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in numbers}
    supervisor = Supervisor()
    try:
        yield supervisor
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        supervisor.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
