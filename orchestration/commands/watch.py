"""``meterhouse watch``: the resident loader."""

import logging
import signal
from pathlib import Path

import click

from ingest.load import FileReport
from orchestration.watching import Watcher, only_watch
from warehouse.settings import load_settings


@click.command()
def watch() -> None:
    """Load what lands within a second or two, until Ctrl-C or SIGTERM.

    One runs for a home at a time. `meterhouse up` starts it; without it Dagster's sensor loads.
    """
    settings = load_settings()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    with only_watch(settings):
        watcher = Watcher(settings, _tell)
        before = {
            number: signal.signal(number, lambda *_: watcher.stop())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        click.echo(f"watching {settings.landing_folder}", err=True)
        try:
            watcher.run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    click.echo("stopped", err=True)


def _tell(file: FileReport) -> None:
    name = Path(file.path).name
    if file.outcome == "loaded":
        click.echo(
            f"{name}: read {file.read:,}  loaded {file.loaded:,}  duplicate {file.duplicate:,}"
            f"  rejected {file.rejected:,}",
            err=True,
        )
    else:
        click.echo(f"{name}: {file.outcome}, {file.message}", err=True)
    for warning in file.warnings:
        click.echo(f"{name}: warning: {warning}", err=True)
