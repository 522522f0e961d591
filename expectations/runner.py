"""Run the checks in a process of their own, without importing what they need into this one."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from types import TracebackType

from warehouse.errors import MeterhouseError
from warehouse.parents import as_parent
from warehouse.priority import give_way
from warehouse.publication import CheckResult
from warehouse.settings import ROOT, Settings

COULD_NOT_RUN = 2
"""Exit status of the child when there are no results."""


class PreparedRunner:
    """A child process that warms up while dbt builds, and then checks what was built.

    Use it as a context manager: ``start`` returns at once, ``run`` waits for the results. A child
    that was never asked ends with the block.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> "PreparedRunner":
        """Start the child."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child if it still runs."""
        self.close()

    def start(self) -> None:
        """Start the child, which imports what it needs and waits."""
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "expectations", "--stdin"],
                cwd=ROOT,
                env=self._settings.environment() | as_parent(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            give_way(self._child.pid)

    def run(
        self,
        *,
        marts_snapshot: int,
        raw_snapshot: int,
        raw_load_id: int,
        days: Sequence[date] | None = None,
        everything: bool = False,
    ) -> list[CheckResult]:
        """Check the state of both lakes at these snapshots, up to batch ``raw_load_id``; once.

        ``days`` are the UTC days to check, None those the refresh noted as touched; ``everything``
        checks all. Returns a result a check in the order of ``expectations.catalogue.CHECKS``.
        Raises MeterhouseError when the checks could not run, which is not the same as failing.
        """
        self.start()
        assert self._child is not None
        request = {
            "marts_snapshot": marts_snapshot,
            "raw_snapshot": raw_snapshot,
            "raw_load_id": raw_load_id,
            "days": None if days is None else [day.isoformat() for day in days],
            "everything": everything,
        }
        try:
            output, messages = self._child.communicate(json.dumps(request) + "\n")
            status = self._child.returncode
        finally:
            self.close()
        if status != 0:
            raise MeterhouseError(f"the checks could not run: {_last_line(messages)}")
        return [CheckResult(**result) for result in json.loads(output)]

    def close(self) -> None:
        """End the child if it still runs."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            child.terminate()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe and not pipe.closed:
                pipe.close()
        child.wait()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "the process ended without a word"
