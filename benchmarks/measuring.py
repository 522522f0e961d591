"""Measuring a piece of work in a process of its own: seconds, rows, peak memory."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from orchestration.commands.tables import UNBOUNDED


@dataclass(frozen=True)
class Run:
    """One run of one contestant.

    ``seconds`` is what the work itself took, without starting Python; ``cpu_seconds`` is the
    processor time of the whole process, which says more than ``seconds`` on a busy machine;
    ``peak_bytes`` is the largest resident memory of the process.
    """

    case: str
    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        """Rows that the work got through in a second."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class Summary:
    """All runs of one contestant: medians, and the largest peak."""

    case: str
    rows: int
    runs: int
    seconds: float
    cpu_seconds: float
    rows_per_second: float
    peak_bytes: int


def run_process(case: str, module: str, arguments: Sequence[str]) -> Run:
    """Run ``python -m module …``, which prints ``{"rows": …, "seconds": …}`` as its last line.

    Raises RuntimeError with what it wrote to standard error when it fails.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=out, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise RuntimeError(f"{case} ended with {process.returncode}:\n{errors.read()[-4000:]}")
        measured = json.loads(out.read().strip().splitlines()[-1])
    return Run(
        case=case,
        rows=measured["rows"],
        seconds=measured["seconds"],
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=_bytes(usage.ru_maxrss),
    )


def alternated(cases: Sequence[str], repeats: int) -> Iterator[tuple[int, str]]:
    """(round, case), every second round in the opposite order, so that drift hits both alike."""
    for number in range(repeats):
        order = cases if number % 2 == 0 else list(reversed(cases))
        for case in order:
            yield number, case


def summary(runs: Sequence[Run]) -> Summary:
    """Median of seconds and speed over runs of one case, and the largest peak."""
    return Summary(
        case=runs[0].case,
        rows=runs[0].rows,
        runs=len(runs),
        seconds=statistics.median(run.seconds for run in runs),
        cpu_seconds=statistics.median(run.cpu_seconds for run in runs),
        rows_per_second=statistics.median(run.rows_per_second for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
    )


def paired_ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> tuple[float, float, float]:
    """(median, lowest, highest) of our speed ÷ theirs over runs that were made as pairs."""
    ratios = [
        mine.rows_per_second / other.rows_per_second
        for mine, other in zip(ours, theirs, strict=True)
    ]
    return statistics.median(ratios), min(ratios), max(ratios)


def report_console() -> Console:
    """Where a report is printed, with every figure whole: on a screen as in a pipe."""
    return Console(width=UNBOUNDED, markup=False, emoji=False, highlight=False)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _bytes(maxrss: int) -> int:
    """``ru_maxrss`` is in KiB on Linux, in bytes on macOS."""
    return maxrss if sys.platform == "darwin" else maxrss * 1024
