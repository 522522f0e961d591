"""From what the ledger knows of an account's months to the lines of an invoice. Pure.

A charge is what one month owes for one reason, exact and as known now. An invoice has the charges
of its month and, for each earlier month that was invoiced, what the ledger knows now less all
that invoices and notes said so far. So the documents of a month always add up to the ledger,
in whatever order facts arrive.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billing.currencies import MINOR_DIGITS
from billing.invoices.rounding import fitted, rounded

Kind = Literal["purchase", "refund", "chargeback", "overage", "usage", "covered", "goodwill"]

KINDS: tuple[Kind, ...] = (
    "purchase",
    "refund",
    "chargeback",
    "overage",
    "usage",
    "covered",
    "goodwill",
)
"""What a line is for, in the order in which lines stand.

``purchase``, ``refund`` and ``chargeback`` are cash, tax included; ``overage`` (a plan with lots)
and ``usage`` (postpaid) are credits at a price, to which tax is added; ``covered`` is the zero line
of a month without charges; ``goodwill`` is given by hand and no figure of the ledger.
"""

TAX_CATEGORIES = ("S", "Z", "AE", "G")
"""Of UNTDID 5305: standard rate, a rate of 0, reverse charge, export out of the tax area."""


@dataclass(frozen=True, order=True)
class Tax:
    """How a line is taxed: one of TAX_CATEGORIES and the rate in percent, 0 but for ``S``."""

    category: str
    percent: Decimal


@dataclass(frozen=True)
class Charge:
    """What a month owes for one reason.

    Of cash, ``gross_minor`` is the amount with tax and ``paid_minor`` what of it was paid (both
    negative where money went back), in minor units. Of usage, ``credits`` cost ``unit_price`` each
    without tax, in units of the currency.
    """

    kind: Kind
    credits: Decimal = Decimal(0)
    unit_price: Decimal | None = None
    gross_minor: int = 0
    paid_minor: int = 0

    def net(self, currency: str, tax: Tax) -> Fraction:
        """The amount without tax in minor units, exact."""
        if self.unit_price is not None:
            units = Fraction(self.credits) * Fraction(self.unit_price)
            return units * Fraction(10 ** MINOR_DIGITS[currency])
        return Fraction(self.gross_minor) / (1 + Fraction(tax.percent) / 100)


@dataclass(frozen=True)
class MonthCharges:
    """All charges of a month, one of each kind at most, and how that month is taxed."""

    tax: Tax
    charges: tuple[Charge, ...]


@dataclass(frozen=True)
class Line:
    """A line of an invoice or a credit note; on a note amounts are negative.

    ``month`` is the one that it belongs to, an earlier one for a correction. ``gross_minor`` and
    ``paid_minor`` are those of cash and 0 for usage.
    """

    number: int
    kind: Kind
    month: date
    is_correction: bool
    credits: Decimal
    unit_price: Decimal | None
    net_minor: int
    gross_minor: int
    paid_minor: int
    tax: Tax

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is open: cash that moved already."""
        is_cash = self.unit_price is None and self.kind != "goodwill"
        return is_cash and self.gross_minor == self.paid_minor


@dataclass(frozen=True)
class TaxTotal:
    """The tax of one rate, computed once on the net of all its lines."""

    tax: Tax
    net_minor: int
    tax_minor: int


@dataclass(frozen=True)
class Totals:
    """What a document adds up to, in minor units: net + tax = gross, gross + rounding - paid = due.

    ``rounding_minor`` is there where all was paid already and the parts, taken back out of the
    amounts paid, miss them by a minor unit.
    """

    taxes: tuple[TaxTotal, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    paid_minor: int
    rounding_minor: int
    due_minor: int


def lines_of(
    month: date,
    known: Mapping[date, MonthCharges],
    invoiced: Iterable[Line],
    currency: str,
) -> list[Line]:
    """The lines of the invoice of ``month``: its charges, then corrections by month.

    ``known`` are the charges of ``month`` and of every earlier month that was invoiced, as known
    now; ``invoiced`` is every line of the account's invoices and notes in the currency. Lines whose
    every amount is 0 are left out; where none remains, one says that credits covered the usage.
    """
    lines = _numbered(
        [
            line
            for day in (month, *sorted(day for day in known if day != month))
            for line in _differences(day, known[day], invoiced, currency, day != month)
        ]
    )
    return lines or [covered_line(month, known[month].tax)]


def covered_line(month: date, tax: Tax) -> Line:
    """The zero line of a month without charges."""
    return Line(1, "covered", month, False, Decimal(0), None, 0, 0, 0, tax)


def split(lines: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Lines of the invoice and of the credit note that goes with it, if any.

    A document never asks for less than nothing: where credit outweighs the charges, the negative
    lines go on a note. Each part is numbered from 1.
    """
    if totals_of(lines).gross_minor >= 0:
        return list(lines), []
    kept = [line for line in lines if line.net_minor >= 0]
    if not kept:
        kept = [covered_line(_own_month(lines), lines[0].tax)]
    return _numbered(kept), _numbered([line for line in lines if line.net_minor < 0])


def totals_of(lines: Sequence[Line]) -> Totals:
    """What lines add up to; tax is rounded once for each rate."""
    nets: dict[Tax, int] = defaultdict(int)
    for line in lines:
        nets[line.tax] += line.net_minor
    taxes = tuple(
        TaxTotal(tax, net, rounded(net * Fraction(tax.percent) / 100))
        for tax, net in sorted(nets.items())
    )
    net = sum(total.net_minor for total in taxes)
    tax = sum(total.tax_minor for total in taxes)
    paid = sum(line.paid_minor for line in lines)
    is_settled = all(line.is_settled for line in lines)
    rounding = paid - net - tax if is_settled else 0
    return Totals(taxes, net, tax, net + tax, paid, rounding, net + tax + rounding - paid)


def overage_lots(
    lines: Iterable[Line], granted_before: Decimal, invoiced_before: Decimal
) -> list[tuple[date, Decimal]]:
    """The lots that take invoiced overage off an account: (month, credits), by month.

    Each begins where its month ends. In all, lots are what was invoiced: credits that came free
    since, by usage that was withdrawn, are taken off what is new; where they are more, they
    stay for the next invoice.
    """
    by_month: dict[date, Decimal] = defaultdict(Decimal)
    for line in lines:
        if line.kind in ("overage", "usage"):
            by_month[line.month] += line.credits
    left = invoiced_before + sum(by_month.values(), Decimal(0)) - granted_before
    lots = []
    for day in sorted(by_month):
        credits = min(by_month[day], left)
        if credits > 0:
            lots.append((day, credits))
            left -= credits
    return lots


def _differences(
    day: date,
    known: MonthCharges,
    invoiced: Iterable[Line],
    currency: str,
    is_correction: bool,
) -> list[Line]:
    """What a month's charges, rounded as one invoice, are beyond what was invoiced of it."""
    nets = fitted([charge.net(currency, known.tax) for charge in known.charges])
    wanted = {
        (charge.kind, known.tax): Line(
            0, charge.kind, day, is_correction, charge.credits, charge.unit_price, net,
            charge.gross_minor, charge.paid_minor, known.tax,
        )
        for charge, net in zip(known.charges, nets, strict=True)
    }  # fmt: skip
    for line in invoiced:
        if line.month != day or line.kind in ("covered", "goodwill"):
            continue
        key = (line.kind, line.tax)
        before = wanted.get(key) or replace(
            line, is_correction=is_correction, credits=Decimal(0), net_minor=0, gross_minor=0,
            paid_minor=0,
        )  # fmt: skip
        wanted[key] = replace(
            before,
            credits=before.credits - line.credits,
            net_minor=before.net_minor - line.net_minor,
            gross_minor=before.gross_minor - line.gross_minor,
            paid_minor=before.paid_minor - line.paid_minor,
        )
    found = [
        line
        for line in wanted.values()
        if line.credits or line.net_minor or line.gross_minor or line.paid_minor
    ]
    return sorted(found, key=lambda line: (KINDS.index(line.kind), line.tax))


def _numbered(lines: Iterable[Line]) -> list[Line]:
    return [replace(line, number=number) for number, line in enumerate(lines, start=1)]


def _own_month(lines: Sequence[Line]) -> date:
    return max(line.month for line in lines)
