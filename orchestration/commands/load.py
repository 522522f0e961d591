"""``meterhouse load`` and ``meterhouse replay``: usage logs into the raw lake."""

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ingest.contract import REASONS
from ingest.load import FileReport, LoadReport
from orchestration.loading import failure_of, load_files, load_landing
from orchestration.loading import replay as replay_rows
from warehouse.lake import Connection
from warehouse.settings import load_settings


@click.command()
@click.option("--source", help="Declared source of the files; without it, the landing folder.")
@click.option("--create-accounts", is_flag=True, help="Declare unknown accounts with defaults.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def load(source: str | None, create_accounts: bool, as_json: bool, paths: tuple[Path, ...]) -> None:
    """Load files or folders of a source, or all that waits in the landing folder.

    Prints rows read, loaded, duplicate and rejected; the last can be seen with
    `meterhouse quarantine list`, as each rejected row is kept with its reason.
    """
    settings = load_settings()
    if bool(source) != bool(paths):
        raise click.UsageError("give --source NAME and PATH…, or neither for the landing folder")
    progress = _progress if sys.stderr.isatty() else None
    if source:
        loaded = load_files(
            settings, source, paths, create_accounts=create_accounts, progress=progress
        )
    else:
        loaded = load_landing(settings, create_accounts=create_accounts, progress=progress)
    report = loaded.usage
    for file in report.files:
        _tell(file)
    if report.created_accounts:
        _say(f"declared with default values: {', '.join(report.created_accounts)}")
    if loaded.replayed.read:
        _say(f"taken out of quarantine: {loaded.replayed.loaded} of {loaded.replayed.read} rows")
    replayed = {"read": loaded.replayed.read, "loaded": loaded.replayed.loaded}
    _print(report, as_json, replayed=replayed)
    if error := failure_of(loaded):
        raise error


@click.command()
@click.option("--source", help="Only rows of this source.")
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(sorted(REASONS)),
    help="Reason whose cause was mended; by default those that mend themselves.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def replay(source: str | None, reasons: tuple[str, ...], as_json: bool) -> None:
    """Read rejected rows again after their cause was mended."""
    chosen = {"reasons": reasons} if reasons else {}
    _print(replay_rows(load_settings(), source, **chosen), as_json)


def _print(report: LoadReport, as_json: bool, **more: object) -> None:
    counts = {
        "read": report.read,
        "loaded": report.loaded,
        "duplicate": report.duplicate,
        "rejected": report.rejected,
    }
    if as_json:
        files = {
            outcome: sum(file.outcome == outcome for file in report.files)
            for outcome in ("loaded", "skipped", "unfinished", "failed")
        }
        click.echo(
            json.dumps(
                {
                    **counts,
                    "reasons": report.reasons,
                    "files": files,
                    "warnings": list(report.warnings),
                    "created_accounts": list(report.created_accounts),
                    **more,
                }
            )
        )
    else:
        click.echo("  ".join(f"{name} {count:,}" for name, count in counts.items()))


def _tell(file: FileReport) -> None:
    """Say what is worth knowing about one file."""
    name = Path(file.path).name
    if file.outcome != "loaded":
        _say(f"{name}: {file.outcome}, {file.message}")
    for warning in file.warnings:
        _say(f"{name}: warning: {warning}")
    for reason, count in file.reasons.items():
        if file.outcome == "loaded":
            _say(f"{name}: {count:,} × {reason}. {REASONS[reason]}")


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextlib.contextmanager
def _progress(name: str, connection: Connection) -> Iterator[None]:
    """A bar on standard error that follows the running query."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    done = threading.Event()
    with bar:
        task = bar.add_task(name, total=100)

        def follow() -> None:
            while not done.wait(0.2):
                bar.update(task, completed=max(0.0, connection.query_progress()))

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            done.set()
            follower.join()
