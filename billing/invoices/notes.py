"""Credit notes by hand: a part of an invoice is given back, never more than it asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from billing import validation
from billing.invoices.charges import Line, totals_of
from billing.invoices.closing import alone, read_books
from billing.invoices.issued import Issued, ToIssue, as_json, get_issued, issue
from billing.invoices.rounding import fitted
from billing.money import shown
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


def credit_note(
    settings: Settings,
    store: Store,
    number: str,
    net_minor: int | None,
    *,
    reason: str,
    now: datetime | None = None,
    actor: str | None = None,
) -> Issued:
    """Issue a credit note on an invoice: ``net_minor`` of it without tax, or all that is left.

    The amount is shared among the invoice's rates of tax. Raises MeterhouseError for an unknown
    number, a credit note, an amount that is not above 0, and more than the invoice has left
    after earlier notes and corrections, with its tax as without.
    """
    why = validation.line("reason", reason, 500)
    with alone(settings, store):
        invoice = get_issued(store, number)
        if invoice.series != "invoice":
            raise MeterhouseError(f"{number} is a credit note itself; name an invoice")
        books = read_books(store, invoice.account_id)
        notes = [past for past in books.issued[invoice.account_id] if past.corrects == number]
        left = left_of(invoice, books.issued[invoice.account_id])
        amount = left if net_minor is None else net_minor
        if amount <= 0 or amount > left:
            raise MeterhouseError(
                f"{shown(left, invoice.currency)} of the net total of {number} is left to credit; "
                f"{shown(amount, invoice.currency)} cannot be"
            )
        lines = tuple(_lines(invoice, amount))
        gross, most = -totals_of(lines).gross_minor, _gross_left(invoice, notes)
        if gross > most:
            raise MeterhouseError(
                f"with its tax that is {shown(gross, invoice.currency)}, and "
                f"{shown(most, invoice.currency)} of {number} is left; credit less"
            )
        content = {
            "issuer": as_json(books.issuer),
            "recipient": invoice.content["recipient"],
            "plan": invoice.content["plan"],
            "reason": why,
        }
        (issued,) = issue(
            store,
            books.issuer,
            [
                ToIssue(
                    reference=f"{number}:note:{len(notes) + 1}",
                    series="credit_note",
                    account_id=invoice.account_id,
                    month=invoice.month,
                    currency=invoice.currency,
                    lines=lines,
                    content=content,
                    corrects=number,
                )
            ],
            raw_load_id=invoice.raw_load_id,
            now=now or datetime.now(UTC),
            actor=actor or current_user(),
        )
    return issued


def left_of(invoice: Issued, documents: Iterable[Issued]) -> int:
    """What is left of an invoice's net total, in minor units. Pure.

    Notes on it take from it, and so does what later documents of the account took back of its
    month: nobody gets the same money twice.
    """
    others = [past for past in documents if past.number != invoice.number]
    notes = sum(past.totals.net_minor for past in others if past.corrects == invoice.number)
    known_late = sum(
        line.net_minor
        for past in others
        if past.corrects != invoice.number and past.currency == invoice.currency
        for line in past.lines
        if line.is_correction and line.month == invoice.month
    )
    return invoice.totals.net_minor + notes + min(known_late, 0)


def _gross_left(invoice: Issued, notes: Iterable[Issued]) -> int:
    """Each note rounds its tax anew; together they give back no more than was asked for."""
    return invoice.totals.gross_minor + sum(note.totals.gross_minor for note in notes)


def _lines(invoice: Issued, amount: int) -> Sequence[Line]:
    """The amount shared among the invoice's taxes by what each taxed."""
    taxes = [total for total in totals_of(invoice.lines).taxes if total.net_minor > 0]
    whole = sum(total.net_minor for total in taxes)
    parts = fitted([Fraction(amount * total.net_minor, whole) for total in taxes])
    blank = replace(
        invoice.lines[0], kind="goodwill", month=invoice.month, is_correction=False,
        credits=invoice.lines[0].credits * 0, unit_price=None, gross_minor=0, paid_minor=0,
    )  # fmt: skip
    shares = [(total.tax, part) for total, part in zip(taxes, parts, strict=True) if part]
    return [
        replace(blank, number=at, tax=tax, net_minor=-part)
        for at, (tax, part) in enumerate(shares, start=1)
    ]
