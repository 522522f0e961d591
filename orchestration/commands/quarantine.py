"""``meterhouse quarantine``: rows that are held back, and dismissing them."""

import json
from contextlib import closing

import click

from billing.store import open_store
from ingest.contract import REASONS
from ingest.quarantine import HeldRows, dismiss, held_rows
from orchestration.commands.audited import logged
from warehouse.errors import MeterhouseError
from warehouse.lake import catalog_exists, reading_head, writing
from warehouse.settings import load_settings

_source = click.option("--source", help="Only rows of this source.")


@click.group()
def quarantine() -> None:
    """List rejected rows, and dismiss those that nobody will mend."""


@quarantine.command("list")
@_source
@click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(sorted(REASONS)), help="Only of it."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(source: str | None, reasons: tuple[str, ...], as_json: bool) -> None:
    """List how many rows of each file are held, why, and the first of them."""
    with closing(reading_head(load_settings(), "raw")) as connection:
        found = held_rows(connection, source, reasons)
    if as_json:
        click.echo(json.dumps([held.as_dict() for held in found], indent=2))
        return
    for held in found:
        click.echo(held_line(held))
    if not found:
        click.echo("no row is held", err=True)


@quarantine.command("dismiss")
@_source
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    required=True,
    type=click.Choice(sorted(REASONS)),
    help="Reason of the rows to dismiss.",
)
@click.option("--note", required=True, help="Why, for whoever asks later.")
def dismiss_(source: str | None, reasons: tuple[str, ...], note: str) -> None:
    """Hold rows no more, without loading them: they are neither counted nor replayed.

    Their text and reason stay in the raw lake, and the note as a row of audit.
    """
    if not note.strip():
        raise click.UsageError("say with --note why the rows may be dismissed")
    settings = load_settings()
    if not catalog_exists(settings, "raw"):
        raise MeterhouseError("nothing was loaded yet, so no row is held")
    with (
        open_store(settings) as store,
        logged(store, "quarantine.dismiss"),
        writing(settings, "raw") as connection,
    ):
        count = dismiss(connection, note.strip(), source, reasons)
    click.echo(f"dismissed {count:,} {'row' if count == 1 else 'rows'}", err=True)


def held_line(held: HeldRows) -> str:
    """Held rows of a file for people."""
    return (
        f"{held.rows:,} × {held.reason}, {held.source}: {held.path},"
        f" line {held.first_line}: {held.example}"
    )
