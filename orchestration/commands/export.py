"""``meterhouse export``: take usage and charges away as files."""

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

from billing import validation
from billing.focus import FocusFiles, FocusFormat, export_focus
from billing.store import open_store
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings
from warehouse.usage.columns import Format
from warehouse.usage.export import Progress, export_usage
from warehouse.usage.selection import Selection

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def export() -> None:
    """Take usage and charges away as files."""


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


@export.command()
@click.argument("month")
@click.option("--account", help="Only this account; all by default.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    default=".",
    help="Folder to write into; the current one by default.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice([kind.value for kind in FocusFormat]),
    help="Only this format; both by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def focus(month: str, account: str | None, folder: Path, output: str | None, as_json: bool) -> None:
    """Write the charges of a month, such as 2026-10, in the format FOCUS 1.2.

    They are those of the published snapshot; files of the same name are replaced. Months are those
    of each account's time zone.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = load_settings()
    day = validation.parse_month(month)
    with open_store(settings) as store:
        done = export_focus(
            settings,
            store,
            day,
            folder,
            account_id=account,
            formats=[FocusFormat(output)] if output else list(FocusFormat),
        )
    if as_json:
        click.echo(json.dumps({"month": f"{day:%Y-%m}", **focus_json(done)}))
        return
    for file in done.files:
        click.echo(f"{done.rows:,} rows in {file}")
    for sentence in remarks(day, account, done):
        click.echo(sentence, err=True)


def focus_json(done: FocusFiles) -> dict[str, object]:
    """What was written, as JSON."""
    return {
        "files": [str(file) for file in done.files],
        "rows": done.rows,
        "drafts": list(done.drafts),
        "untaxed": list(done.untaxed),
        "unrated_events": done.unrated_events,
    }


def remarks(month: date, account: str | None, done: FocusFiles) -> list[str]:
    """What whoever reads the files has to know, one sentence each."""
    sentences = []
    if not done.rows:
        whose = f" of {account}" if account else ""
        sentences.append(f"there are no charges{whose} in {month:%Y-%m}: the files have only heads")
    if done.drafts:
        sentences.append(
            f"{month:%Y-%m} has no invoice yet for {_named(done.drafts)}: these rows are drafts"
            f" without InvoiceId; `meterhouse invoices close {month:%Y-%m}` issues it"
        )
    if done.untaxed:
        sentences.append(
            f"the tax of {_named(done.untaxed)} is not known, so what they paid stands as it is;"
            " `meterhouse invoices recipient` and `invoices tax-rate` say it"
        )
    if done.unrated_events:
        sentences.append(
            f"{done.unrated_events:,} operations without a price are in no row;"
            " `meterhouse rates add` prices them"
        )
    return sentences


def _named(accounts: tuple[str, ...], most: int = 5) -> str:
    """The first accounts by name, and how many more there are."""
    more = len(accounts) - most
    return ", ".join(accounts[:most]) + (f" and {more:,} more" if more > 0 else "")


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
