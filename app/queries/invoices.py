"""Everything that the page Invoices shows of one account.

Issued documents come from the operational store, through the gate, as they were issued; months so
far from the published marts. Amounts are minor units of their currency, credits Decimals.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, cast

from app.csv_text import csv_text
from app.gate import AccountQuestion, AccountReader
from billing.invoices.charges import (
    Charge,
    Kind,
    Line,
    MonthCharges,
    Tax,
    Totals,
    lines_of,
    totals_of,
)
from billing.invoices.explain import Explained
from billing.invoices.issued import Issued, list_issued
from billing.invoices.mailing import MailState, mail_states
from billing.invoices.parties import (
    Issuer,
    Profile,
    TaxRate,
    find_issuer,
    list_profiles,
    list_tax_rates,
    profile_at,
    tax_at,
)
from billing.invoices.payments import Open, Payment, list_payments, open_items
from billing.invoices.presentation import described, due_date
from billing.store import Store

EVENTS_SHOWN = 25
"""Operations of a line on one page."""

DRAFTS_SHOWN = 2
"""Months that were not issued yet, the newest ones."""

Status = Literal["credit note", "free", "paid", "due", "partly paid", "overdue"]

EntryKind = Literal["invoice", "credit note", "checkout", "payment"]

_UNKNOWN_TAX = Tax("Z", Decimal(0))


@dataclass(frozen=True)
class DraftMonth:
    """A month of the account as known now; times are UTC without a zone."""

    month: date
    plan: str
    currency: str
    used_credits: Decimal
    closing_credits: Decimal
    events: int
    unrated_events: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class DraftCharge:
    """What a month owes for one reason, as known now."""

    month: date
    currency: str
    kind: str
    credits: Decimal
    unit_price: Decimal | None
    gross_minor: int
    paid_minor: int


@dataclass(frozen=True)
class Draft:
    """What the invoice of a month would say now, in one currency.

    Without ``is_taxed`` nobody knows yet how the account is taxed, and amounts have no tax.
    ``is_running`` while the month is not over.
    """

    month: DraftMonth
    currency: str
    lines: tuple[Line, ...]
    totals: Totals
    is_taxed: bool
    is_running: bool


@dataclass(frozen=True)
class Setup:
    """What must be known before the account's first invoice."""

    issuer: Issuer | None
    profiles: tuple[Profile, ...]
    rates: tuple[TaxRate, ...]

    def tax(self, month: date) -> Tax | None:
        """How a month is taxed; None where that is not known."""
        profile = profile_at(self.profiles, month)
        if self.issuer is None or profile is None:
            return None
        return tax_at(profile, self.issuer.country, self.rates, month)


@dataclass(frozen=True)
class Documents:
    """All documents of an account in the order of issue, what was paid of them, their mails."""

    issued: tuple[Issued, ...]
    items: Mapping[str, Open]
    payments: tuple[Payment, ...]
    mails: Mapping[str, MailState]

    def payments_of(self, document: Issued) -> list[Payment]:
        """What was paid of a document after it was issued."""
        return [each for each in self.payments if each.number == document.number]

    def status(self, document: Issued, today: date) -> Status:
        """How a document stands on a day."""
        totals, item = document.totals, self.items[document.number]
        if document.series == "credit_note":
            return "credit note"
        if totals.due_minor <= 0:
            return "paid" if totals.paid_minor else "free"
        if item.open_minor <= 0:
            return "paid"
        if due_date(document.content) < today:
            return "overdue"
        return "partly paid" if item.settled_minor else "due"


@dataclass(frozen=True)
class Entry:
    """A line of the statement of account; ``open_minor`` is what is open after it.

    ``reference`` is the bank's, of a payment.
    """

    day: date
    number: str
    kind: EntryKind
    month: date
    currency: str
    amount_minor: int
    open_minor: int
    reference: str = ""


@dataclass(frozen=True)
class Statement:
    """The statement of account of a currency: what was open before the entries, and after them."""

    currency: str
    opening_minor: int
    entries: tuple[Entry, ...]
    closing_minor: int


MONTHS = AccountQuestion("rpt_invoices_month", DraftMonth, where="month > $after", order="month")
CHARGES = AccountQuestion("rpt_invoices_draft", DraftCharge, order="month, currency, kind")


def setup_of(store: Store, account_id: str) -> Setup:
    """Who issues, whom the account's invoices name, and the rates of tax."""
    return Setup(
        find_issuer(store),
        tuple(list_profiles(store, account_id)),
        tuple(list_tax_rates(store)),
    )


def documents_of(store: Store, account_id: str) -> Documents:
    """The account's documents with what the store knows of each."""
    return Documents(
        tuple(list_issued(store, account_id=account_id)),
        open_items(store, account_id),
        tuple(list_payments(store, account_id)),
        mail_states(store, account_id),
    )


def gather_drafts(reader: AccountReader, issued: Sequence[Issued], now: datetime) -> list[Draft]:
    """The months that were not issued yet, the newest first, as an invoice would say them now.

    ``now`` is the time that the published figures reach. What corrects earlier months stands on
    the first of them, as it will be invoiced.
    """
    setup = reader.ask_store(setup_of)
    invoiced = sorted({past.month for past in issued if past.series == "invoice"})
    after = invoiced[-1] if invoiced else date.min
    clock = now.astimezone(UTC).replace(tzinfo=None)
    months = [each for each in reader.ask(MONTHS, after=after) if each.starts_at <= clock]
    months = months if invoiced else months[-DRAFTS_SHOWN:]
    charges = reader.ask(CHARGES)
    drafts = []
    for position, month in enumerate(months):
        days = [month.month, *(invoiced if position == 0 else [])]
        currencies = {month.currency, *(each.currency for each in charges if each.month in days)}
        for currency in sorted(currencies, key=lambda each: (each != month.currency, each)):
            lines = _lines(setup, days, charges, issued, currency)
            if currency != month.currency and lines[0].kind == "covered":
                continue
            drafts.append(
                Draft(
                    month,
                    currency,
                    tuple(lines),
                    totals_of(lines),
                    setup.tax(month.month) is not None,
                    clock < month.ends_at,
                )
            )
    return drafts[::-1][:DRAFTS_SHOWN]


def corrected_by(document: Issued, issued: Iterable[Issued]) -> list[Issued]:
    """Later documents that credit an invoice or correct its month."""
    if document.series != "invoice":
        return []
    return [
        other
        for other in issued
        if other.invoice_id != document.invoice_id
        and other.currency == document.currency
        and (
            other.corrects == document.number
            or other.reference == f"{document.reference}:note"
            or any(line.is_correction and line.month == document.month for line in other.lines)
        )
    ]


def corrects(document: Issued, issued: Iterable[Issued]) -> list[Issued]:
    """Earlier invoices that a document credits, or whose months it corrects."""
    return [other for other in issued if document in corrected_by(other, (document,))]


def statements(documents: Documents, year: int | None) -> list[Statement]:
    """The statement of account of each currency, of a year or from the beginning.

    An invoice adds what it asks for, a credit note takes off, and so does what was paid; what was
    paid at a checkout already stands on the invoice that lists it and is taken off at once.
    """
    found = []
    for currency in dict.fromkeys(document.currency for document in documents.issued):
        moves = [
            (*move, document)
            for document in documents.issued
            if document.currency == currency
            for move in _moves(document, documents.payments_of(document))
        ]
        opening = running = 0
        entries: list[Entry] = []
        for day, kind, amount, reference, document in sorted(moves, key=lambda move: move[0]):
            if year is not None and day.year > year:
                break
            running += amount
            if year is not None and day.year < year:
                opening = running
                continue
            entries.append(
                Entry(
                    day, document.number, kind, document.month, currency, amount, running,
                    reference,
                )
            )  # fmt: skip
        found.append(Statement(currency, opening, tuple(entries), running))
    return found


def statement_csv(found: Iterable[Statement]) -> str:
    """Statements as CSV, one row an entry; amounts are minor units."""
    return csv_text(
        [
            "date", "document", "kind", "reference", "month", "currency", "amount_minor",
            "open_minor",
        ],
        (
            [
                entry.day.isoformat(), entry.number, entry.kind, entry.reference,
                f"{entry.month:%Y-%m}", entry.currency, entry.amount_minor, entry.open_minor,
            ]
            for statement in found
            for entry in statement.entries
        ),
    )  # fmt: skip


def explained_csv(found: Explained) -> str:
    """What a line is made from as CSV: its events, or the lots that were paid for."""
    if found.lots:
        return csv_text(
            ["invoice", "line", "lot_id", "effective_at", "credits", "paid_minor", "reason"],
            (
                [
                    found.issued.number, found.line.number, lot.grant_id, lot.effective_at,
                    lot.credits, lot.paid_minor, lot.reason,
                ]
                for lot in found.lots
            ),
        )  # fmt: skip
    return csv_text(
        [
            "invoice", "line", "occurred_at", "source", "event_id", "category", "model", "credits",
            "file", "file_line",
        ],
        (
            [
                found.issued.number, found.line.number, event.occurred_at, event.source,
                event.event_id, event.category, event.model, event.credits, event.path,
                event.line_number,
            ]
            for event in found.events
        ),
    )  # fmt: skip


def line_name(line: Line) -> str:
    """What a line is for, in the app's language."""
    return described(line.kind, line.month, line.is_correction, "en")


def closes_at(month: DraftMonth, grace_days: int) -> datetime:
    """From when on a month can be invoiced, UTC."""
    return month.ends_at.replace(tzinfo=UTC) + timedelta(days=grace_days)


def _moves(document: Issued, payments: Sequence[Payment]) -> list[tuple[date, EntryKind, int, str]]:
    """What a document adds to what is open, and what of it was paid: day, amount, reference."""
    totals, day = document.totals, document.issue_date
    kind: EntryKind = "invoice" if document.series == "invoice" else "credit note"
    moves: list[tuple[date, EntryKind, int, str]] = [
        (day, kind, totals.gross_minor + totals.rounding_minor, "")
    ]
    if totals.paid_minor:
        moves.append((day, "checkout", -totals.paid_minor, ""))
    for payment in payments:
        moves.append((payment.paid_on, "payment", -payment.amount_minor, payment.reference))
    return moves


def _lines(
    setup: Setup,
    days: Sequence[date],
    charges: Sequence[DraftCharge],
    issued: Sequence[Issued],
    currency: str,
) -> list[Line]:
    known = {
        day: MonthCharges(
            setup.tax(day) or _UNKNOWN_TAX,
            tuple(
                Charge(
                    cast(Kind, each.kind), each.credits, each.unit_price, each.gross_minor,
                    each.paid_minor,
                )
                for each in charges
                if each.month == day and each.currency == currency
            ),
        )
        for day in days
    }  # fmt: skip
    before = [line for past in issued if past.currency == currency for line in past.lines]
    return lines_of(days[0], known, before, currency)
