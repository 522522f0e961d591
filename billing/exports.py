"""What the raw lake takes over from the operational store, as Arrow tables.

Times are UTC without a zone, as in the lake; decimals stay exact.
"""

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
}

_ISSUER = sa.select(
    invoice_schema.issuer.c.issuer_row_id,
    invoice_schema.issuer.c.issuer_id,
    invoice_schema.issuer.c.settings["name"].as_string().label("name"),
    invoice_schema.issuer.c.settings["country"].as_string().label("country"),
    invoice_schema.issuer.c.recorded_at,
).subquery("issuer_country")
_PROFILE = sa.select(
    *(
        invoice_schema.billing_profile.c[name]
        for name in (
            "profile_id", "account_id", "effective_from", "issuer_id", "tax_treatment",
            "recorded_at",
        )
    )
).subquery("profile_tax")  # fmt: skip
"""Of issuers the name and what decides the tax, of profiles that alone: customers' names and
addresses stay in the store."""

EXPORTED: dict[str, tuple[sa.FromClause, str]] = {
    "account_term": (schema.account_term, "term_id"),
    "rate": (schema.rate, "rate_id"),
    "credit_package": (schema.credit_package, "offer_id"),
    "purchase": (schema.purchase, "purchase_number"),
    "payment_event": (schema.payment_event, "payment_event_id"),
    "credit_grant": (schema.credit_grant, "grant_id"),
    "credit_void": (schema.credit_void, "void_id"),
    "invoice": (invoice_schema.invoice, "invoice_id"),
    "invoice_line": (invoice_schema.invoice_line, "invoice_line_id"),
    "invoice_payment": (invoice_schema.invoice_payment, "invoice_payment_id"),
    "book_balance": (invoice_schema.book_balance, "book_balance_id"),
    "issuer": (_ISSUER, "issuer_row_id"),
    "billing_profile": (_PROFILE, "profile_id"),
    "tax_rate": (invoice_schema.tax_rate, "tax_rate_id"),
    "incident_mark": (schema.incident_mark, "mark_id"),
    "advice_decision": (schema.advice_decision, "decision_id"),
}
"""Tables that go into the raw lake, each with the id that only grows."""

_PRIVATE = {"recorded_by", "request_key", "content"}
"""Columns that stay in the store: who did it, what only guards against doing it twice, and what an
invoice says, names and addresses included."""


def export_schema(name: str) -> pa.Schema:
    """Columns of a raw table but for its load_id."""
    table, _ = EXPORTED[name]
    return pa.schema(
        [(column.name, _arrow(column)) for column in table.c if column.name not in _PRIVATE]
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
            pa.array(map(_naive, column), type=field.type)
            if field.type == _TIME
            else pa.array(column, type=field.type)
            for column, field in zip(values, fields, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=fields)


def _arrow(column: sa.ColumnElement[Any]) -> pa.DataType:
    for kind, made in _TYPES.items():
        if isinstance(column.type, kind):
            return made()
    raise TypeError(f"{column} has no Arrow type")


def _naive(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
