"""What the raw lake takes over from the operational store, as Arrow tables.

Times are UTC without a zone, as in the lake; decimals stay exact.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from billing import invoice_schema, schema
from billing.store import Store

_TIME = pa.timestamp("us")
_EXACT = pa.decimal128(24, 12)

_TYPES: dict[type[Any], Callable[[], pa.DataType]] = {
    schema.UtcDateTime: lambda: _TIME,
    schema.ExactDecimal: lambda: _EXACT,
    sa.Date: pa.date32,
    sa.Boolean: pa.bool_,
    sa.BigInteger: pa.int64,
    sa.Integer: pa.int64,
    sa.String: pa.string,
    sa.JSON: pa.string,
}

EXPORTED: dict[str, tuple[sa.Table, str]] = {
    "account_term": (schema.account_term, "term_id"),
    "rate": (schema.rate, "rate_id"),
    "credit_package": (schema.credit_package, "offer_id"),
    "purchase": (schema.purchase, "purchase_number"),
    "payment_event": (schema.payment_event, "payment_event_id"),
    "credit_grant": (schema.credit_grant, "grant_id"),
    "credit_void": (schema.credit_void, "void_id"),
    "issuer": (invoice_schema.issuer, "issuer_row_id"),
    "billing_profile": (invoice_schema.billing_profile, "profile_id"),
    "tax_rate": (invoice_schema.tax_rate, "tax_rate_id"),
    "invoice": (invoice_schema.invoice, "invoice_id"),
    "invoice_line": (invoice_schema.invoice_line, "invoice_line_id"),
    "incident_mark": (schema.incident_mark, "mark_id"),
    "advice_decision": (schema.advice_decision, "decision_id"),
}
"""Tables that go into the raw lake, each with the id that only grows."""

_PRIVATE = {"recorded_by", "request_key", "content"}
"""Columns that stay in the store: who did it, what only guards against doing it twice, and what an
invoice says, names and addresses included."""

_TAXED_BY = {"account_id", "effective_from", "issuer_id", "tax_treatment"}
"""What the lake needs of a billing profile; names and addresses stay in the store."""


def export_schema(name: str) -> pa.Schema:
    """Columns of a raw table but for its load_id."""
    table, key = EXPORTED[name]
    private = set(_PRIVATE)
    if table is invoice_schema.billing_profile:
        private |= {column.name for column in table.c} - _TAXED_BY - {key, "recorded_at"}
    return pa.schema(
        [(column.name, _arrow(column)) for column in table.c if column.name not in private]
    )


@dataclass(frozen=True)
class StoreExport:
    """Reads out of a store what was appended after a position; ids only grow."""

    store: Store

    def after(self, name: str, position: int) -> pa.Table:
        """The rows of a table of EXPORTED with a higher id than ``position``, by id."""
        table, key = EXPORTED[name]
        fields = export_schema(name)
        columns = [table.c[field.name] for field in fields]
        query = sa.select(*columns).where(table.c[key] > position).order_by(table.c[key])
        with self.store.reading() as connection:
            rows = connection.execute(query).all()
        values: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else [()] * len(columns)
        arrays = [
            pa.array(map(_plain, column), type=field.type)
            for column, field in zip(values, fields, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=fields)


def _arrow(column: sa.Column[Any]) -> pa.DataType:
    for kind, made in _TYPES.items():
        if isinstance(column.type, kind):
            return made()
    raise TypeError(f"{column} has no Arrow type")


def _plain(value: Any) -> Any:
    """A time without its zone, JSON as text, and everything else as it is."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
