"""``meterhouse export``: take usage away as a file."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings
from warehouse.usage.columns import Format
from warehouse.usage.export import Progress, export_usage
from warehouse.usage.selection import Selection

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def export() -> None:
    """Take usage away as a file."""


@export.command()
@click.option("--account", required=True, help="Account whose usage it is.")
@click.option("--from", "first", type=_DAY, required=True, help="First day, of the account's zone.")
@click.option("--to", "until", type=_DAY, required=True, help="Day after the last one (exclusive).")
@click.option(
    "--format", "output", type=click.Choice([kind.value for kind in Format]), required=True
)
@click.option(
    "--output", "target", type=click.Path(path_type=Path), required=True, help="File to write."
)
@click.option("--agent", "agents", multiple=True, help="Only this agent; may repeat.")
@click.option("--category", "categories", multiple=True, help="Only this category; may repeat.")
@click.option("--model", "models", multiple=True, help="Only this model; may repeat.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["ok", "error", "cancelled"]),
    help="Only this status; may repeat.",
)
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Only with this tag.")
@click.option("--text", default="", help="Only with this text in an id, agent, model or tag.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def usage(
    account: str,
    first: datetime,
    until: datetime,
    output: str,
    target: Path,
    agents: tuple[str, ...],
    categories: tuple[str, ...],
    models: tuple[str, ...],
    statuses: tuple[str, ...],
    tags: tuple[str, ...],
    text: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write the usage log of an account, as it is published, to a file.

    Rows are the oldest first. Several values of one option are alternatives; different options,
    and tags of different keys, must all match.
    """
    selection = selection_of(
        first.date(),
        until.date(),
        agents=agents,
        categories=categories,
        models=models,
        statuses=statuses,
        tags=tags,
        text=text,
    )
    check_target(target, force=force)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with _progress(target.name) as progress:
        done = export_usage(
            load_settings(), account, selection, Format(output), target, progress=progress
        )
    if as_json:
        click.echo(
            json.dumps({"file": str(done.file), "rows": done.rows, "bytes": done.size_bytes})
        )
    else:
        click.echo(f"{done.rows:,} rows in {done.file}")


def selection_of(
    first: date,
    until: date,
    *,
    agents: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    statuses: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    text: str = "",
) -> Selection:
    """What the options ask for.

    Raises MeterhouseError for days in reverse and for a tag without ``=``.
    """
    if first >= until:
        raise MeterhouseError(f"--from {first} must lie before --to {until} (exclusive)")
    pairs = []
    for tag in tags:
        key, equals, value = tag.partition("=")
        if not equals:
            raise MeterhouseError(f"--tag {tag}: write KEY=VALUE")
        pairs.append((key, value))
    return Selection(
        first,
        until,
        agents=agents,
        categories=categories,
        models=models,
        statuses=statuses,
        tags=tuple(pairs),
        text=text,
    )


def check_target(target: Path, *, force: bool) -> None:
    """Raises MeterhouseError where the file cannot or should not be written."""
    if target.is_dir():
        raise MeterhouseError(f"{target} is a folder; name a file in it")
    if target.exists() and not force:
        raise MeterhouseError(f"{target} is there already; --force replaces it")
    if not target.parent.is_dir():
        raise MeterhouseError(f"there is no folder {target.parent}")


@contextmanager
def _progress(name: str) -> Iterator[Progress | None]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(name, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)
