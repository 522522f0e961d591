"""Payments of what invoices have due, as finance reads them off the bank's statement. Append-only.

An amount is that of the payment in minor units of the invoice's currency: positive on an invoice,
negative where money was paid out on a credit note. Nothing is paid beyond what is open.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from billing import validation
from billing.invoice_schema import invoice, invoice_payment
from billing.invoices.presentation import due_date
from billing.money import shown
from billing.once import insert_once
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

Status = Literal["due", "partly_paid", "paid", "nothing_due", "credit_note"]


@dataclass(frozen=True)
class Payment:
    """Money that came for an invoice; ``reference`` is the bank's. Minor units."""

    number: str
    amount_minor: int
    currency: str
    paid_on: date
    reference: str
    reason: str
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True)
class Open:
    """What of an invoice's due is open: ``open_minor`` = ``due_minor`` - ``settled_minor``."""

    number: str
    currency: str
    due_minor: int
    settled_minor: int
    open_minor: int
    status: Status


@dataclass(frozen=True)
class OpenInvoice:
    """An invoice that is not paid in full, and the last day to pay it. Minor units."""

    account_id: str
    number: str
    currency: str
    open_minor: int
    due_on: date


def record_payment(
    store: Store,
    number: str,
    amount_minor: int,
    *,
    currency: str,
    paid_on: date,
    reference: str,
    reason: str = "",
    actor: str | None = None,
    now: datetime | None = None,
) -> tuple[Payment, bool]:
    """Record a payment once; the second value is False where its reference was recorded before.

    Raises MeterhouseError for an unknown number, another currency than the invoice's, an amount
    that is not above 0 or more than is open, a day to come or before the invoice's month, and a
    reference that another payment has.
    """
    at = now or datetime.now(UTC)
    known_as = validation.line("reference", reference, 200)
    why = validation.line("reason", reason, 500) if reason.strip() else ""
    if paid_on > at.date() + timedelta(days=1):
        raise MeterhouseError(f"{paid_on} is still to come; give the day of the bank's statement")
    with store.writing() as connection:
        found = connection.execute(
            sa.select(invoice).where(invoice.c.number == number.strip())
        ).one_or_none()
        if found is None:
            raise MeterhouseError(
                f"there is no invoice {number}; `meterhouse invoices list` shows all"
            )
        if currency != found.currency:
            raise MeterhouseError(
                f"{found.number} is in {found.currency}, not in {currency}; give what came in "
                f"{found.currency}"
            )
        if paid_on < found.month:
            raise MeterhouseError(
                f"{paid_on} is before the month that {found.number} is for; give the day of the "
                "bank's statement"
            )
        sign = -1 if found.due_minor < 0 else 1
        before = _read(connection, invoice_payment.c.reference == known_as)
        if before:
            same = (before[0].number, before[0].amount_minor, before[0].paid_on)
            if same != (found.number, sign * amount_minor, paid_on):
                raise MeterhouseError(
                    f"the reference {known_as} is that of another payment: "
                    f"{shown(before[0].amount_minor, before[0].currency)} of "
                    f"{before[0].paid_on} for {before[0].number}"
                )
            return before[0], False
        paid = _read(connection, invoice_payment.c.invoice_id == found.invoice_id)
        left = sign * (found.due_minor - sum(payment.amount_minor for payment in paid))
        if amount_minor <= 0:
            raise MeterhouseError("a payment is more than 0; on a credit note it is paid out")
        if amount_minor > left:
            raise MeterhouseError(
                f"{shown(left, found.currency)} of {found.number} are open; "
                f"{shown(amount_minor, found.currency)} are more"
            )
        insert_once(
            connection,
            invoice_payment,
            {
                "reference": known_as,
                "invoice_id": found.invoice_id,
                "amount_minor": sign * amount_minor,
                "paid_on": paid_on,
                "reason": why,
                "recorded_at": at,
                "recorded_by": actor or current_user(),
            },
            "reference",
        )
        return _read(connection, invoice_payment.c.reference == known_as)[0], True


def list_payments(store: Store, account_id: str | None = None) -> list[Payment]:
    """Payments in the order in which they were recorded, of one account or of all."""
    where = invoice.c.account_id == account_id if account_id is not None else sa.true()
    with store.reading() as connection:
        return _read(connection, where)


def open_items(store: Store, account_id: str | None = None) -> Mapping[str, Open]:
    """What is open of each invoice and credit note, by number, in the order of issue."""
    where = invoice.c.account_id == account_id if account_id is not None else sa.true()
    query = (
        sa.select(
            invoice.c.number,
            invoice.c.series,
            invoice.c.currency,
            invoice.c.due_minor,
            sa.func.coalesce(sa.func.sum(invoice_payment.c.amount_minor), 0).label("settled"),
        )
        .outerjoin(invoice_payment, invoice_payment.c.invoice_id == invoice.c.invoice_id)
        .where(where)
        .group_by(invoice.c.invoice_id)
        .order_by(invoice.c.invoice_id)
    )
    with store.reading() as connection:
        rows: list[Any] = list(connection.execute(query))
    return {
        number: Open(
            number, currency, due, int(paid), due - int(paid), status_of(series, due, int(paid))
        )
        for number, series, currency, due, paid in rows
    }


def open_invoices(store: Store) -> list[OpenInvoice]:
    """Invoices of every account that are not paid in full, in the order of issue."""
    settled = sa.func.coalesce(sa.func.sum(invoice_payment.c.amount_minor), 0)
    query = (
        sa.select(invoice, (invoice.c.due_minor - settled).label("open_minor"))
        .outerjoin(invoice_payment, invoice_payment.c.invoice_id == invoice.c.invoice_id)
        .where(invoice.c.series == "invoice", invoice.c.due_minor > 0)
        .group_by(invoice.c.invoice_id)
        .having(invoice.c.due_minor > settled)
        .order_by(invoice.c.invoice_id)
    )
    with store.reading() as connection:
        return [
            OpenInvoice(
                row.account_id,
                row.number,
                row.currency,
                int(row.open_minor),
                due_date(json.loads(row.content)),
            )
            for row in connection.execute(query)
        ]


def status_of(series: str, due_minor: int, settled_minor: int) -> Status:
    """How an invoice stands: a credit note is one, whatever was paid out."""
    if series == "credit_note":
        return "credit_note"
    if due_minor == 0:
        return "nothing_due"
    if settled_minor == due_minor:
        return "paid"
    return "partly_paid" if settled_minor else "due"


def _read(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Payment]:
    rows = connection.execute(
        sa.select(invoice_payment, invoice.c.number, invoice.c.currency)
        .join(invoice, invoice.c.invoice_id == invoice_payment.c.invoice_id)
        .where(where)
        .order_by(invoice_payment.c.invoice_payment_id)
    )
    return [Payment(**{name: getattr(row, name) for name in _FIELDS}) for row in rows]


_FIELDS = tuple(Payment.__dataclass_fields__)
