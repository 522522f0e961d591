"""What the raw lake takes over from the operational store, as Arrow tables.

Times are UTC without a zone, as in the lake; decimals stay exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from billing.schema import account_term, rate
from billing.store import Store

_TIME = pa.timestamp("us")

TERM_SCHEMA = pa.schema(
    [
        ("term_id", pa.int64()),
        ("account_id", pa.string()),
        ("effective_from", pa.date32()),
        ("name", pa.string()),
        ("time_zone", pa.string()),
        ("currency", pa.string()),
        ("email", pa.string()),
        ("plan", pa.string()),
        ("recorded_at", _TIME),
    ]
)
"""Columns of ``raw.main.account_term`` but for its load_id."""

RATE_SCHEMA = pa.schema(
    [
        ("rate_id", pa.int64()),
        ("category", pa.string()),
        ("model", pa.string()),
        ("unit", pa.string()),
        ("credits_per_unit", pa.decimal128(24, 12)),
        ("effective_from", _TIME),
        ("recorded_at", _TIME),
    ]
)
"""Columns of ``raw.main.rate`` but for its load_id."""


@dataclass(frozen=True)
class StoreExport:
    """Reads out of a store what was appended after a position; ids only grow."""

    store: Store

    def terms_after(self, term_id: int) -> pa.Table:
        """Account terms with a higher id, by id, in the columns of TERM_SCHEMA."""
        return self._after(account_term, account_term.c.term_id, term_id, TERM_SCHEMA)

    def rates_after(self, rate_id: int) -> pa.Table:
        """Rates with a higher id, by id, in the columns of RATE_SCHEMA."""
        return self._after(rate, rate.c.rate_id, rate_id, RATE_SCHEMA)

    def _after(
        self, table: sa.Table, key: sa.Column[Any], position: int, schema: pa.Schema
    ) -> pa.Table:
        columns = [table.c[name] for name in schema.names]
        query = sa.select(*columns).where(key > position).order_by(key)
        with self.store.reading() as connection:
            rows = connection.execute(query).all()
        values: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else [()] * len(columns)
        arrays = [
            pa.array(map(_naive, column), type=field.type)
            if field.type == _TIME
            else pa.array(column, type=field.type)
            for column, field in zip(values, schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
