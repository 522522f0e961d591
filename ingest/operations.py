"""Brings what was recorded in the operational store into the raw lake.

Its tables are append-only with growing ids, so a sync takes what lies above the highest id that
the lake has. Where it comes from is the caller's business: ``ingest`` does not know ``billing``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from ingest.tables import ensure_tables, next_load_id
from warehouse.lake import Connection

SYNCED: dict[str, str] = {
    "account_term": "term_id",
    "rate": "rate_id",
    "credit_package": "offer_id",
    "purchase": "purchase_number",
    "payment_event": "payment_event_id",
    "credit_grant": "grant_id",
    "credit_void": "void_id",
    "issuer": "issuer_row_id",
    "billing_profile": "profile_id",
    "tax_rate": "tax_rate_id",
    "invoice": "invoice_id",
    "invoice_line": "invoice_line_id",
    "incident_mark": "mark_id",
    "advice_decision": "decision_id",
}
"""Raw tables that come from the operational store, each with the id that only grows."""


class OperationsSource(Protocol):
    """Reads the operational store; the tables have the raw tables' columns but for load_id."""

    def after(self, name: str, position: int) -> pa.Table:
        """The rows of a table of SYNCED with a higher id than ``position``, by id."""


@dataclass(frozen=True)
class OperationsSynced:
    """What a sync appended, by table; ``load_id`` is None when there was nothing new."""

    load_id: int | None = None
    rows: Mapping[str, int] = field(default_factory=dict)


def sync_operations(connection: Connection, source: OperationsSource) -> OperationsSynced:
    """Append what is new in ``source`` to the tables of SYNCED.

    One transaction with one row of audit (kind ``operations``), and only when there is
    something new. Call it on a connection from ``warehouse.lake.writing``, whose lock it needs.
    """
    started = datetime.now(UTC).replace(tzinfo=None)
    ensure_tables(connection)
    found = {name: source.after(name, at) for name, at in _positions(connection).items()}
    new = {name: table for name, table in found.items() if table.num_rows}
    if not new:
        return OperationsSynced()
    rows = {name: table.num_rows for name, table in new.items()}
    connection.execute("begin")
    try:
        load_id = next_load_id(connection)
        for name, table in new.items():
            _append(connection, name, table, load_id)
        connection.execute(
            "insert into raw.main.load by name select"
            " $load_id as load_id, 'operations' as kind, 'operations' as source,"
            " 'operational store' as path, $content_hash as content_hash,"
            " $size_bytes as size_bytes, 0 as line_count, $rows as rows_read,"
            " $rows as rows_loaded, 0 as rows_duplicate, 0 as rows_rejected,"
            " $started as started_at, $finished as finished_at",
            {
                "load_id": load_id,
                "content_hash": _content_hash(new),
                "size_bytes": sum(table.nbytes for table in new.values()),
                "rows": sum(rows.values()),
                "started": started,
                "finished": datetime.now(UTC).replace(tzinfo=None),
            },
        )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return OperationsSynced(load_id, rows)


def _positions(connection: Connection) -> dict[str, int]:
    """The highest id of each table that the lake has."""
    sums = ", ".join(
        f"(select coalesce(max({key}), 0) from raw.main.{name})" for name, key in SYNCED.items()
    )
    row = connection.execute(f"select {sums}").fetchone()
    assert row is not None
    return dict(zip(SYNCED, map(int, row), strict=True))


def _append(connection: Connection, table: str, rows: pa.Table, load_id: int) -> None:
    connection.register("new_rows", rows)
    try:
        connection.execute(
            f"insert into raw.main.{table} by name select {load_id} as load_id, * from new_rows"
        )
    finally:
        connection.unregister("new_rows")


def _content_hash(tables: Mapping[str, pa.Table]) -> str:
    """SHA-256 of the rows as text, in their order."""
    digest = hashlib.sha256()
    for name, table in tables.items():
        for row in table.to_pylist():
            digest.update(repr((name, *row.values())).encode())
    return digest.hexdigest()
