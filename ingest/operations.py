"""Brings what was recorded in the operational store into the raw lake: account terms and rates.

Both are append-only with growing ids, so a sync takes what lies above the highest id that the
lake has. Where it comes from is the caller's business: ``ingest`` does not know ``billing``.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from ingest.tables import ensure_tables, next_load_id
from warehouse.lake import Connection


class OperationsSource(Protocol):
    """Reads the operational store; the tables have the raw tables' columns but for load_id."""

    def terms_after(self, term_id: int) -> pa.Table:
        """Account terms with a higher id."""

    def rates_after(self, rate_id: int) -> pa.Table:
        """Rates with a higher id."""


@dataclass(frozen=True)
class OperationsSynced:
    """What a sync appended; ``load_id`` is None when there was nothing new."""

    load_id: int | None
    account_terms: int
    rates: int


def sync_operations(connection: Connection, source: OperationsSource) -> OperationsSynced:
    """Append what is new in ``source`` to ``raw.main.account_term`` and ``raw.main.rate``.

    One transaction with one row of audit (kind ``operations``), and only when there is
    something new. Call it on a connection from ``warehouse.lake.writing``, whose lock it needs.
    """
    started = datetime.now(UTC).replace(tzinfo=None)
    ensure_tables(connection)
    term_id, rate_id = _position(connection)
    terms, rates = source.terms_after(term_id), source.rates_after(rate_id)
    count = terms.num_rows + rates.num_rows
    if not count:
        return OperationsSynced(None, 0, 0)
    connection.execute("begin")
    try:
        load_id = next_load_id(connection)
        _append(connection, "account_term", terms, load_id)
        _append(connection, "rate", rates, load_id)
        connection.execute(
            "insert into raw.main.load by name select"
            " $load_id as load_id, 'operations' as kind, 'operations' as source,"
            " 'operational store' as path, $content_hash as content_hash,"
            " $size_bytes as size_bytes, 0 as line_count, $rows as rows_read,"
            " $rows as rows_loaded, 0 as rows_duplicate, 0 as rows_rejected,"
            " $started as started_at, $finished as finished_at",
            {
                "load_id": load_id,
                "content_hash": _content_hash(terms, rates),
                "size_bytes": terms.nbytes + rates.nbytes,
                "rows": count,
                "started": started,
                "finished": datetime.now(UTC).replace(tzinfo=None),
            },
        )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return OperationsSynced(load_id, terms.num_rows, rates.num_rows)


def _position(connection: Connection) -> tuple[int, int]:
    """The highest term_id and rate_id that the lake has."""
    row = connection.execute(
        "select (select coalesce(max(term_id), 0) from raw.main.account_term),"
        " (select coalesce(max(rate_id), 0) from raw.main.rate)"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _append(connection: Connection, table: str, rows: pa.Table, load_id: int) -> None:
    if not rows.num_rows:
        return
    connection.register("new_rows", rows)
    try:
        connection.execute(
            f"insert into raw.main.{table} by name select {load_id} as load_id, * from new_rows"
        )
    finally:
        connection.unregister("new_rows")


def _content_hash(*tables: pa.Table) -> str:
    """SHA-256 of the rows as text, in their order."""
    digest = hashlib.sha256()
    for table in tables:
        for row in table.to_pylist():
            digest.update(repr(tuple(row.values())).encode())
    return digest.hexdigest()
