"""Running a Dagster job in this process, as the command line does.

Dagster's and dbt's own output goes to a log file under the home, so that standard output carries
only the result. The run shows in Dagster's pages like any other.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from orchestration.definitions import definitions
from orchestration.instance import dagster_instance
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def run_job(
    settings: Settings,
    name: str,
    *,
    ops: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job to its end. ``ops`` is run configuration by op name.

    Raises MeterhouseError with the plain reason when a step fails.
    """
    built = definitions() if callable(definitions) else definitions
    with _output_in_log(settings), dagster_instance(settings) as instance:
        job = built.resolve_job_def(name)
        try:
            return job.execute_in_process(
                instance=instance,
                run_config={**_QUIET, "ops": {op: {"config": c} for op, c in (ops or {}).items()}},
                tags=dict(tags or {}),
            )
        except dg.Failure as failure:
            raise MeterhouseError(failure.description or str(failure)) from failure
        except dg.DagsterError as error:
            if isinstance(error.__cause__, MeterhouseError):
                raise error.__cause__ from error
            raise


@contextlib.contextmanager
def _output_in_log(settings: Settings) -> Iterator[None]:
    """Send what this process and its children print to ``<home>/logs/runs.log``."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "runs.log").open("a", encoding="utf-8") as log:
        saved = [os.dup(stream) for stream in (1, 2)]
        try:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        finally:
            for stream, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, stream)
                os.close(copy)
