"""``meterhouse rates``: the platform's rate card, which prices usage logged without credits."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from billing.rate_card import CATEGORIES, CSV_COLUMNS, UNITS, Rate, make_rate, shown
from billing.rates import RatesAdded, add_rates, import_rates, list_rates
from billing.store import open_store
from orchestration.commands.audited import logged
from orchestration.commands.tables import print_table
from warehouse.settings import load_settings


@click.group()
def rates() -> None:
    """Add, import and list rates of the rate card."""


@rates.command("add")
@click.option("--category", required=True, help=f"One of {', '.join(CATEGORIES)}.")
@click.option("--model", help="Model name as logged; every model of the category by default.")
@click.option("--unit", required=True, help=f"One of {', '.join(UNITS)}.")
@click.option("--credits", "credits_per_unit", required=True, help="Credits per unit.")
@click.option(
    "--from",
    "effective_from",
    help="Date or time (UTC unless it names a zone) from which it holds; now by default.",
)
def add(
    category: str,
    model: str | None,
    unit: str,
    credits_per_unit: str,
    effective_from: str | None,
) -> None:
    """Add a rate. It may start in the past only where none applied."""
    now = datetime.now(UTC)
    rate = make_rate(category, model, unit, credits_per_unit, effective_from or now)
    with open_store(load_settings()) as store, logged(store, "rate.add"):
        report(add_rates(store, [rate], now=now))


@rates.command(
    "import",
    help=f"Add the rates of a CSV file, all or none. Its columns are {', '.join(CSV_COLUMNS)}; "
    "an empty model stands for every model of the category. Rates that stand are passed over.",
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    """Add the rates of a CSV file."""
    with open_store(load_settings()) as store, logged(store, "rate.import"):
        report(import_rates(store, file))


@rates.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(as_json: bool) -> None:
    """List every rate ever recorded."""
    with open_store(load_settings()) as store:
        found = list_rates(store)
    if as_json:
        click.echo(json.dumps([rate_json(rate) for rate in found], indent=2))
        return
    if not found:
        click.echo("there are no rates yet; add some with `meterhouse rates add`", err=True)
        return
    print_table(rate_table(found))


def report(outcome: RatesAdded) -> None:
    """Say on standard error what was added."""
    added = len(outcome.added)
    click.echo(
        f"added {added} {'rate' if added == 1 else 'rates'}, {outcome.unchanged} stood already",
        err=True,
    )


def rate_json(rate: Rate) -> dict[str, Any]:
    """A rate as JSON; the price is a string, times are UTC."""
    return {
        "rate_id": rate.rate_id,
        "category": rate.category,
        "model": rate.model,
        "unit": rate.unit,
        "credits_per_unit": f"{rate.credits_per_unit:f}",
        "effective_from": rate.effective_from.isoformat(),
    }


def rate_table(found: list[Rate]) -> Table:
    """Rates as a table."""
    table = Table(header_style="bold")
    for column in ("category", "model", "unit"):
        table.add_column(column, overflow="fold")
    table.add_column("credits per unit", justify="right")
    table.add_column("from", no_wrap=True)
    for rate in found:
        table.add_row(
            rate.category,
            rate.model or "every model",
            rate.unit,
            f"{rate.credits_per_unit.normalize():f}",
            shown(rate.effective_from),
        )
    return table
