"""``meterhouse sql``: a question to the published marts."""

import csv
import json
import sys
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import click
import duckdb
from rich.console import Console
from rich.table import Table

from warehouse.errors import MeterhouseError
from warehouse.publication import reading_published
from warehouse.settings import load_settings


@click.command()
@click.argument("query")
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
)
def sql(query: str, output: str) -> None:
    """Ask the published snapshot, read-only; marts and reporting need no schema name.

    The raw lake is there as raw.main, pinned at the state the marts were built from.
    """
    connection, _ = reading_published(load_settings())
    try:
        result = connection.execute(query)
        columns = [column[0] for column in result.description or []]
        rows = result.fetchall()
    except duckdb.Error as error:
        raise MeterhouseError(str(error)) from error
    finally:
        connection.close()
    if output == "json":
        click.echo(as_json(columns, rows))
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([as_text(value) for value in row] for row in rows)
    else:
        table = Table(*columns)
        for row in rows:
            table.add_row(*(as_text(value) for value in row))
        Console().print(table)


def as_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a JSON array of objects; decimals and times are strings."""
    return json.dumps(
        [dict(zip(columns, row, strict=True)) for row in rows],
        default=as_text,
        ensure_ascii=False,
    )


def as_text(value: Any) -> str:
    """A value as text: exact decimals, ISO times, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)
