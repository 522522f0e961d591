"""``meterhouse watch``: the resident loader."""

import logging
import signal
from pathlib import Path

import click

from ingest.load import FileReport
from orchestration.watching import Watcher, only_watch
from warehouse.settings import load_settings

_LOG = logging.getLogger("meterhouse.watch")


@click.command()
def watch() -> None:
    """Load what lands within a second or two, until Ctrl-C or SIGTERM.

    One runs for a home at a time. `meterhouse up` starts it; without it Dagster's sensor loads.
    """
    settings = load_settings()
    with only_watch(settings):
        watcher = Watcher(settings, _tell)
        before = {
            number: signal.signal(number, lambda *_: watcher.stop())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        _LOG.info("watching %s", settings.landing_folder)
        try:
            watcher.run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    _LOG.info("stopped")


def _tell(file: FileReport) -> None:
    name = Path(file.path).name
    counts = {
        "rows_read": file.read,
        "rows_loaded": file.loaded,
        "rows_duplicate": file.duplicate,
        "rows_rejected": file.rejected,
    }
    known: dict[str, object] = {"file": file.path, "outcome": file.outcome}
    if file.outcome == "loaded":
        said = "  ".join(f"{key[5:]} {value:,}" for key, value in counts.items())
        _LOG.info("%s: %s", name, said, extra=known | counts)
    else:
        _LOG.warning("%s: %s, %s", name, file.outcome, file.message, extra=known)
    for warning in file.warnings:
        _LOG.warning("%s: %s", name, warning, extra=known)
