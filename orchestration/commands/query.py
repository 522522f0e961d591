"""``meterhouse sql``: a question to the published marts."""

import csv
import json
import math
import re
import sys
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import click
import duckdb
from rich.table import Table

from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.lake import seal
from warehouse.publication import reading_published
from warehouse.settings import load_settings

_EXPLAIN = re.compile(
    r"^(\s|--[^\n]*\n|/\*.*?\*/)*explain(\s+analyze)?(\s*\([^)]*\))?", re.IGNORECASE | re.DOTALL
)

_FOREIGN = re.compile(r"\b(sqlite|postgres)_\w+", re.IGNORECASE)
"""Functions that open other databases: DuckDB lets no setting keep them from it."""


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

    The raw lake is there as raw.main, pinned at the state the marts were built from. One SELECT
    (or SHOW, DESCRIBE, EXPLAIN) at a time; files other than the lakes' are out of reach.
    """
    question = one_question(query)
    settings = load_settings()
    connection, _ = reading_published(settings)
    try:
        seal(connection, settings)
        result = connection.execute(question)
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
        print_table(table)


def one_question(query: str) -> duckdb.Statement:
    """The one statement of ``query``, which only reads; raises MeterhouseError otherwise."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise MeterhouseError(str(error)) from error
    if not statements:
        raise MeterhouseError("there is no question: give a SELECT")
    if len(statements) > 1:
        raise MeterhouseError(
            f"meterhouse sql answers one SELECT at a time, this is {len(statements)} statements"
            " (a PIVOT without `in (…)` counts as two: name its columns)"
        )
    statement = statements[0]
    if foreign := _FOREIGN.search(statement.query):
        raise MeterhouseError(
            f"meterhouse sql reads the lakes alone: {foreign[0]} opens other databases"
        )
    if statement.type == duckdb.StatementType.EXPLAIN:
        one_question(_EXPLAIN.sub("", statement.query, count=1))
    elif statement.type != duckdb.StatementType.SELECT:
        raise MeterhouseError(
            "meterhouse sql only reads: ask with SELECT, SHOW, DESCRIBE or EXPLAIN,"
            f" not with {statement.type.name}"
        )
    return statement


def as_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a JSON array of objects; decimals, times and what is no number are strings."""
    return json.dumps(
        [dict(zip(columns, map(_finite, row), strict=True)) for row in rows],
        default=as_text,
        ensure_ascii=False,
        allow_nan=False,
    )


def _finite(value: Any) -> Any:
    """A value, also within lists and structs, whose NaN and infinities are text: JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return value


def as_text(value: Any) -> str:
    """A value as text: exact decimals, ISO times, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)
