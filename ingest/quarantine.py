"""Rows that are held back: looking at them, and dismissing those that nobody will mend.

A dismissed row stays where it is, with its text and reason; it is let go like one that was
replayed, by a row of audit that says why.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.load import OPEN_QUARANTINE
from ingest.tables import ensure_tables, next_load_id
from warehouse.lake import Connection, table_exists


@dataclass(frozen=True)
class HeldRows:
    """The rows of one file that are held for one reason; ``example`` is the first one's detail."""

    source: str
    path: str
    reason: str
    rows: int
    first_line: int
    example: str

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def held_rows(
    connection: Connection, source: str | None = None, reasons: Sequence[str] = ()
) -> list[HeldRows]:
    """What is held, of one source or all, for these reasons or any; the most rows first."""
    if not table_exists(connection, "raw.main.usage_quarantine"):
        return []
    condition, given = _chosen(source, reasons)
    rows = connection.execute(
        "select source, path, reason, count(*) as held_count, min(line_number),"
        f" arg_min(detail, (load_id, line_number)) from ({OPEN_QUARANTINE}) where {condition}"
        " group by all order by held_count desc, source, path, reason",
        given,
    ).fetchall()
    return [HeldRows(*row) for row in rows]


def dismiss(
    connection: Connection, note: str, source: str | None = None, reasons: Sequence[str] = ()
) -> int:
    """Let go what :func:`held_rows` finds, for the reason ``note``; how many rows.

    One transaction with a row of audit (kind ``dismissal``). Call it on a connection from
    ``warehouse.lake.writing``, whose lock it needs.
    """
    ensure_tables(connection)
    condition, given = _chosen(source, reasons)
    connection.execute("begin")
    try:
        load_id = next_load_id(connection)
        row = connection.execute(
            "insert into raw.main.usage_quarantine_release"
            f" select {load_id}, load_id, line_number from ({OPEN_QUARANTINE}) where {condition}",
            given,
        ).fetchone()
        dismissed = int(row[0]) if row else 0
        if dismissed:
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute(
                "insert into raw.main.load values (?, 'dismissal', ?, ?, ?,"
                " 0, 0, 0, 0, 0, 0, ?, ?, null)",
                [load_id, source or "quarantine", note, f"dismissal:{load_id}", now, now],
            )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return dismissed


def _chosen(source: str | None, reasons: Sequence[str]) -> tuple[str, dict[str, Any]]:
    conditions, given = ["true"], dict[str, Any]()
    if source is not None:
        conditions.append("source = $source")
        given["source"] = source
    if reasons:
        conditions.append("reason in (select unnest($reasons))")
        given["reasons"] = list(reasons)
    return " and ".join(conditions), given
