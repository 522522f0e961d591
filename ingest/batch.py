"""One typed batch: the temporary table ``batch_rows`` and the view ``batch`` over it.

``batch_rows`` has the columns of ``contract.batch_query``, in file order, so that ORDINAL is the
position of the record. ``batch`` adds ``ordinal`` and ``line_number``.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from ingest.contract import Clock, batch_query
from ingest.readers import Records, json_lines
from ingest.specs import ANCHOR, FILE_NAME, SourceSpec
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


def mend_inexact_credits(
    connection: Connection, spec: SourceSpec, records: Records, file_name: str, folder: Path
) -> int:
    """Read again, to the last digit, the credits that a double may have cut; returns how many.

    DuckDB reads JSON numbers through double. The lines concerned are parsed anew with their
    numbers kept as text.
    """
    found = connection.execute(
        f"select {ORDINAL} from batch_rows where is_inexact order by rowid"
    ).fetchall()
    ordinals = [int(row[0]) for row in found]
    if not ordinals:
        return 0
    file = folder / "exact.ndjson"
    with file.open("w", encoding="utf-8") as out:
        for text in records.raw_texts(ordinals):
            out.write(json.dumps(json.loads(text, parse_float=str, parse_int=str)) + "\n")
    fill_batch(
        connection, spec, f"({json_lines(file, spec.columns)})", file_name, table="exact_rows"
    )
    connection.register("given_ordinals", pa.table({"ordinal": pa.array(ordinals, pa.int64())}))
    connection.execute(
        f"""
        update batch_rows
        set credits = exact.credits, reason = exact.reason, detail = exact.detail
        from (
            select given_ordinals.ordinal, exact_rows.*
            from (select row_number() over () as place, * from given_ordinals) as given_ordinals
            join exact_rows on {ordinal_of("exact_rows")} + 1 = given_ordinals.place
        ) as exact
        where exact.ordinal = {ORDINAL}
        """
    )
    connection.unregister("given_ordinals")
    connection.execute("drop table exact_rows")
    return len(ordinals)
