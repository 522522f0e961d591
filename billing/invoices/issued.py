"""Invoices and credit notes as they are stored: issuing them in one transaction, reading them.

Numbers are gapless within an issuer, a series and a year because they are counted on from what is
stored, by a transaction that writes alone and keeps number and invoice together or neither.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from billing.grants import insert_lot
from billing.invoice_schema import book_balance, invoice, invoice_document, invoice_line
from billing.invoices.charges import Kind, Line, Tax, Totals, totals_of
from billing.invoices.parties import Issuer
from billing.store import Store
from warehouse.errors import MeterhouseError

Series = Literal["invoice", "credit_note"]

MAILS = "invoice:"
"""What references of invoices' mails begin with."""

LAST_PRIORITY = 101
"""Lots for invoiced overage burn after everything else (grants have 0 to 100): what they pay later
was freed by withdrawn usage, and is overage of the month that uses it."""


@dataclass(frozen=True)
class Issued:
    """An invoice or credit note as it was issued; a note's amounts are negative. Minor units."""

    invoice_id: int
    reference: str
    issuer_id: str
    series: Series
    number: str
    account_id: str
    month: date
    currency: str
    issue_date: date
    corrects: str | None
    totals: Totals
    lines: tuple[Line, ...]
    raw_load_id: int
    content: Mapping[str, Any]
    content_hash: str
    recorded_at: datetime


@dataclass(frozen=True)
class ToIssue:
    """An invoice or note before it has a number. ``content`` is what the document shows besides."""

    reference: str
    series: Series
    account_id: str
    month: date
    currency: str
    lines: tuple[Line, ...]
    content: Mapping[str, Any]
    corrects: str | None = None


@dataclass(frozen=True)
class OverageLot:
    """A lot that takes invoiced overage of a month off an account from that month's end on."""

    month: date
    credits: Decimal
    effective_at: datetime


@dataclass(frozen=True)
class BookBalance:
    """What the ledger says of an account's lots in a currency up to a month's end, minor units.

    Cash = suspense + tax + deferred + revenue + breakage - unbilled, but for what rounding leaves.
    """

    month: date
    currency: str
    cash_minor: int
    suspense_minor: int
    unbilled_minor: int
    tax_minor: int
    deferred_minor: int
    revenue_minor: int
    breakage_minor: int


def issue(
    store: Store,
    issuer: Issuer,
    documents: Sequence[ToIssue],
    lots: Sequence[OverageLot] = (),
    balances: Sequence[BookBalance] = (),
    *,
    raw_load_id: int,
    now: datetime,
    actor: str,
) -> list[Issued]:
    """Issue documents that belong together, with the first its lots and balances, or nothing.

    A reference that was issued before is left as it is, with everything that goes with it, and
    nothing is returned for it.
    """
    issue_date = issue_day(issuer, now)
    with store.writing() as connection:
        known = sa.select(invoice.c.reference).where(
            invoice.c.reference.in_([document.reference for document in documents])
        )
        if connection.scalars(known).first() is not None:
            return []
        numbers = []
        for document in documents:
            numbers.append(
                _insert(connection, issuer, document, issue_date, raw_load_id, now, actor)
            )
        for lot in lots:
            insert_lot(
                connection,
                {
                    "reference": f"invoice:{numbers[0]}:{lot.month:%Y-%m}",
                    "account_id": documents[0].account_id,
                    "kind": "adjustment",
                    "credits": lot.credits,
                    "priority": LAST_PRIORITY,
                    "effective_at": lot.effective_at,
                    "expires_at": None,
                    "purchase_id": None,
                    "paid_minor": None,
                    "currency": None,
                    "reason": f"usage of {lot.month:%Y-%m} invoiced by {numbers[0]}",
                    "recorded_at": now,
                    "recorded_by": actor,
                },
            )
        issued = read_issued(connection, invoice.c.number.in_(numbers))
        if balances:
            connection.execute(
                sa.insert(book_balance),
                [
                    {
                        "invoice_id": issued[0].invoice_id,
                        "account_id": issued[0].account_id,
                        "recorded_at": now,
                        **asdict(balance),
                    }
                    for balance in balances
                ],
            )
        return issued


def issue_day(issuer: Issuer, now: datetime) -> date:
    """The day on the issuer's calendar."""
    return now.astimezone(ZoneInfo(issuer.time_zone)).date()


def list_issued(
    store: Store,
    *,
    account_id: str | None = None,
    year: int | None = None,
    month: date | None = None,
) -> list[Issued]:
    """Issued invoices and notes in the order of issue, of an account, a year or a month."""
    where: list[sa.ColumnElement[bool]] = [sa.true()]
    if account_id is not None:
        where.append(invoice.c.account_id == account_id)
    if year is not None:
        where.append(invoice.c.year == year)
    if month is not None:
        where.append(invoice.c.month == month)
    with store.reading() as connection:
        return read_issued(connection, sa.and_(*where))


def get_issued(store: Store, number: str, account_id: str | None = None) -> Issued:
    """One by its number, of an account where one is named. Raises MeterhouseError without it."""
    where = invoice.c.number == number.strip()
    if account_id is not None:
        where = sa.and_(where, invoice.c.account_id == account_id)
    with store.reading() as connection:
        found = read_issued(connection, where)
    if not found:
        raise MeterhouseError(f"there is no invoice {number}; `meterhouse invoices list` shows all")
    return found[0]


def read_issued(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Issued]:
    """Invoices and notes with their lines, in the order of issue."""
    rows = connection.execute(sa.select(invoice).where(where).order_by(invoice.c.invoice_id)).all()
    lines: dict[int, list[Line]] = {}
    query = (
        sa.select(invoice_line)
        .join(invoice, invoice.c.invoice_id == invoice_line.c.invoice_id)
        .where(where)
        .order_by(invoice_line.c.invoice_id, invoice_line.c.line_number)
    )
    for row in connection.execute(query):
        lines.setdefault(row.invoice_id, []).append(_line(row))
    return [_issued(row, tuple(lines[row.invoice_id])) for row in rows]


def undrawn(store: Store) -> list[Issued]:
    """Issued invoices and notes whose document was not rendered yet."""
    missing = ~sa.exists().where(invoice_document.c.invoice_id == invoice.c.invoice_id)
    with store.reading() as connection:
        return read_issued(connection, missing)


def keep_document(store: Store, invoice_id: int, pdf: bytes, now: datetime) -> None:
    """Store a rendered document; of two at once, which are the same, one is kept."""
    with store.writing() as connection:
        known = sa.select(invoice_document.c.invoice_id).where(
            invoice_document.c.invoice_id == invoice_id
        )
        if connection.scalar(known) is None:
            connection.execute(
                sa.insert(invoice_document),
                {
                    "invoice_id": invoice_id,
                    "pdf": pdf,
                    "pdf_hash": hashlib.sha256(pdf).hexdigest(),
                    "recorded_at": now,
                },
            )


def document_of(store: Store, number: str) -> bytes:
    """The PDF of an invoice. Raises MeterhouseError where it was not rendered yet."""
    query = (
        sa.select(invoice_document.c.pdf)
        .join(invoice, invoice.c.invoice_id == invoice_document.c.invoice_id)
        .where(invoice.c.number == number)
    )
    with store.reading() as connection:
        found = connection.scalar(query)
    if found is None:
        raise MeterhouseError(
            f"{number} has no document yet; `meterhouse invoices render` makes what is missing"
        )
    return bytes(found)


def file_name(number: str) -> str:
    """What the document of an invoice is called as a file."""
    return f"{number.replace('/', '-')}.pdf"


def mail_reference(number: str, copy: int = 1) -> str:
    """What makes a mail of an invoice exist once; each further copy has its own."""
    return f"{MAILS}{number}" + (f":{copy}" if copy > 1 else "")


def invoice_of(reference: str) -> str | None:
    """The number of the invoice that a mail with this reference is of; None for other mails."""
    if not reference.startswith(MAILS):
        return None
    return reference.removeprefix(MAILS).partition(":")[0]


def content_hash(content: str) -> str:
    """SHA-256 of an invoice's content as it is stored."""
    return hashlib.sha256(content.encode()).hexdigest()


def _insert(
    connection: sa.Connection,
    issuer: Issuer,
    document: ToIssue,
    issue_date: date,
    raw_load_id: int,
    now: datetime,
    actor: str,
) -> str:
    last = connection.scalar(
        sa.select(sa.func.max(invoice.c.sequence)).where(
            invoice.c.issuer_id == issuer.issuer_id,
            invoice.c.series == document.series,
            invoice.c.year == issue_date.year,
        )
    )
    sequence = (last or 0) + 1
    prefix = issuer.invoice_prefix if document.series == "invoice" else issuer.note_prefix
    number = f"{prefix}-{issue_date.year}-{sequence:06d}"
    totals = totals_of(document.lines)
    content = json.dumps(
        {
            **document.content,
            "series": document.series,
            "number": number,
            "issue_date": issue_date.isoformat(),
            "account_id": document.account_id,
            "month": document.month.isoformat(),
            "currency": document.currency,
            "corrects": document.corrects,
            "lines": [as_json(line) for line in document.lines],
            "totals": as_json(totals),
        },
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    )
    amounts = {name: value for name, value in asdict(totals).items() if name != "taxes"}
    (invoice_id,) = connection.execute(
        sa.insert(invoice).returning(invoice.c.invoice_id),
        {
            "reference": document.reference,
            "issuer_id": issuer.issuer_id,
            "series": document.series,
            "year": issue_date.year,
            "sequence": sequence,
            "number": number,
            "account_id": document.account_id,
            "month": document.month,
            "currency": document.currency,
            "issue_date": issue_date,
            "corrects": document.corrects,
            **amounts,
            "raw_load_id": raw_load_id,
            "content": content,
            "content_hash": content_hash(content),
            "recorded_at": now,
            "recorded_by": actor,
        },
    ).one()
    connection.execute(
        sa.insert(invoice_line),
        [
            {
                "invoice_id": invoice_id,
                "line_number": line.number,
                "kind": line.kind,
                "month": line.month,
                "is_correction": line.is_correction,
                "credits": line.credits,
                "unit_price": line.unit_price,
                "net_minor": line.net_minor,
                "gross_minor": line.gross_minor,
                "paid_minor": line.paid_minor,
                "tax_category": line.tax.category,
                "tax_percent": line.tax.percent,
            }
            for line in document.lines
        ],
    )
    return number


def as_json(value: Any) -> Any:
    """A value of a content as JSON has it: decimals as plain texts, dates in ISO form."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [as_json(part) for part in value]
    return value


def _line(row: sa.Row[Any]) -> Line:
    return Line(
        number=row.line_number,
        kind=cast(Kind, row.kind),
        month=row.month,
        is_correction=row.is_correction,
        credits=row.credits,
        unit_price=row.unit_price,
        net_minor=row.net_minor,
        gross_minor=row.gross_minor,
        paid_minor=row.paid_minor,
        tax=Tax(row.tax_category, row.tax_percent),
    )


def _issued(row: sa.Row[Any], lines: tuple[Line, ...]) -> Issued:
    return Issued(
        invoice_id=row.invoice_id,
        reference=row.reference,
        issuer_id=row.issuer_id,
        series=row.series,
        number=row.number,
        account_id=row.account_id,
        month=row.month,
        currency=row.currency,
        issue_date=row.issue_date,
        corrects=row.corrects,
        totals=totals_of(lines),
        lines=lines,
        raw_load_id=row.raw_load_id,
        content=json.loads(row.content),
        content_hash=row.content_hash,
        recorded_at=row.recorded_at,
    )
