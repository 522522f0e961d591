"""One typed batch: the temporary table ``batch_rows`` and the view ``batch`` over it.

``batch_rows`` has the columns of ``contract.batch_query``, in file order, so that ORDINAL is the
position of the record. ``batch`` adds ``ordinal`` and ``line_number``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.contract import Clock, batch_query
from ingest.readers import Records, json_lines
from ingest.specs import ANCHOR, FILE_NAME, SourceSpec, quoted
from ingest.tables import ordinal_of
from warehouse.lake import Connection

CLOCK = Clock(
    earliest="timestamp '2000-01-01'",
    latest="cast(now() as timestamp) + interval 15 minute",
)
"""Events lie after the year 2000 and at most a clock's error in the future."""


ORDINAL = ordinal_of("batch_rows")


def fill_batch(
    connection: Connection,
    spec: SourceSpec,
    relation: str,
    file_name: str,
    *,
    table: str = "batch_rows",
    ordinal: str = "cast(null as bigint)",
    occurrence: str = "cast(null as bigint)",
) -> int:
    """Type every record of ``relation`` into ``table``; returns their number.

    ``ordinal`` and ``occurrence`` are expressions over the relation; without an ordinal it must
    come in file order by itself.
    """
    anchor = f"timestamp '{spec.anchor:%Y-%m-%d %H:%M:%S}'" if spec.anchor else "null::timestamp"
    name = file_name.replace("'", "''")
    context = (
        f"(select *, {ordinal} as ordinal, {occurrence} as known_occurrence,"
        f" '{name}' as {FILE_NAME}, {anchor} as {ANCHOR} from {relation})"
    )
    in_order = not ordinal.startswith("cast(null")
    query = batch_query(spec, context, CLOCK, in_order=in_order)
    connection.execute(f"create or replace temp table {table} as {query}")
    row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


def number_lines(connection: Connection, lines_before: int, numbers: Sequence[int] | None) -> None:
    """Make the view ``batch``: records with their line, counted or looked up in ``numbers``."""
    if numbers is None:
        line = f"{ORDINAL} + {lines_before + 1}"
        source = "batch_rows"
    else:
        table = pa.table({"ordinal": range(len(numbers)), "number": pa.array(numbers, pa.int64())})
        connection.register("given_lines", table)
        connection.execute("create or replace temp table line as select * from given_lines")
        connection.unregister("given_lines")
        line = "line.number"
        source = f"batch_rows join line on line.ordinal = {ORDINAL}"
    connection.execute(
        "create or replace temp view batch as"
        f" select {ORDINAL} as ordinal, {line} as line_number, batch_rows.* from {source}"
    )


def mend_rows(
    connection: Connection, spec: SourceSpec, records: Records, file_name: str, folder: Path
) -> int:
    """Read again what DuckDB's JSON reader did not give back as it stands; returns how many rows.

    Numbers go through double there, so credits with many digits may have lost some. And a line
    that ends behind a colon makes it lose the next, good one as well. Both kinds of line are
    parsed anew, with numbers kept as text; a line that is no JSON object stays unreadable.
    """
    found = connection.execute(
        f"select {ORDINAL} from batch_rows where is_inexact or reason = 'unreadable_line'"
        " order by rowid"
    ).fetchall()
    objects = [
        (ordinal, record)
        for (ordinal,), text in zip(
            found, records.raw_texts([row[0] for row in found]) if found else [], strict=True
        )
        if (record := _parsed(text))
    ]
    if not objects:
        return 0
    file = folder / "mended.ndjson"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(record) + "\n" for _, record in objects)
    lines = f"({json_lines(file, spec.columns)})"
    ordinals = pa.array([ordinal for ordinal, _ in objects], pa.int64())
    connection.register("given_ordinals", pa.table({"ordinal": ordinals}))
    if spec.has_ids:
        fill_batch(connection, spec, lines, file_name, table="mended")
        _overwrite(connection, "batch_rows")
    else:
        # Equal rows are numbered over the whole file, so all of it is typed again.
        connection.execute(f"create or replace temp table mended as select * from {lines}")
        _overwrite(connection, "log")
        fill_batch(connection, spec, "log", file_name, ordinal=ordinal_of("log"))
    connection.unregister("given_ordinals")
    connection.execute("drop table mended")
    return len(objects)


def _overwrite(connection: Connection, table: str) -> None:
    """Put the rows of ``mended`` in the places of ``table`` that ``given_ordinals`` lists."""
    columns = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    connection.execute(
        f"""
        update {table}
        set {", ".join(f"{quoted(name)} = mended.{quoted(name)}" for name in columns)}
        from mended
        join (select row_number() over () - 1 as place, ordinal from given_ordinals) as places
            on places.place = {ordinal_of("mended")}
        where places.ordinal = {ordinal_of(table)}
        """
    )


def _parsed(text: str) -> dict[str, Any] | None:
    """The JSON object of a line with its numbers as text, or None if it is none."""
    try:
        record = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
