"""Charge lines: they add up, to their totals and to the ledger, whatever is known when."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.charges import (
    Charge,
    Line,
    MonthCharges,
    Tax,
    lines_of,
    overage_lots,
    split,
    totals_of,
)
from billing.invoices.closing import closed_balances
from billing.invoices.issued import BookBalance
from billing.invoices.rounding import fitted, rounded

JULY, AUGUST, SEPTEMBER = date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1)
GERMAN = Tax("S", Decimal(19))
REVERSE = Tax("AE", Decimal(0))

currencies = st.sampled_from(["EUR", "JPY", "KWD"])
taxes = st.sampled_from([GERMAN, REVERSE, Tax("S", Decimal("7.7")), Tax("G", Decimal(0))])
credits = st.decimals(0, 100_000, places=9)
prices = st.decimals("0.000000000001", 5, places=12)


@st.composite
def months(draw: st.DrawFn) -> MonthCharges:
    """Charges of a month on any plan."""
    bought = draw(st.integers(0, 100_000))
    back = draw(st.integers(0, 50_000))
    taken = draw(st.integers(0, 20_000))
    charges = [
        Charge("purchase", gross_minor=bought, paid_minor=bought),
        Charge("refund", gross_minor=-back, paid_minor=-back),
        Charge("chargeback", gross_minor=-taken // 2, paid_minor=-taken),
        Charge(draw(st.sampled_from(["overage", "usage"])), draw(credits), draw(prices)),
    ]
    return MonthCharges(draw(taxes), tuple(charges[: draw(st.integers(0, 4))]))


def paid(minor: int) -> Charge:
    return Charge("purchase", gross_minor=minor, paid_minor=minor)


def amounts(lines: list[Line]) -> list[tuple[str, date, int]]:
    return [(line.kind, line.month, line.net_minor) for line in lines]


@given(st.lists(st.fractions(-1000, 1000, max_denominator=997)))
def test_fitted_amounts_add_up_to_the_rounded_sum_and_stay_near_their_own(
    exact: list[Fraction],
) -> None:
    whole = fitted(exact)
    assert sum(whole) == rounded(sum(exact, Fraction(0)))
    assert all(abs(a - b) < 1 or a == b for a, b in zip(whole, exact, strict=True))


@given(st.fractions(-1000, 1000))
def test_rounding_is_half_up_and_the_same_on_both_sides_of_zero(exact: Fraction) -> None:
    assert rounded(exact) == -rounded(-exact)
    assert abs(rounded(exact) - exact) <= Fraction(1, 2)


def test_a_prepaid_month_shows_what_was_paid_and_nothing_is_due() -> None:
    known = {AUGUST: MonthCharges(GERMAN, (paid(4900),))}
    lines = lines_of(AUGUST, known, [], "EUR")
    assert amounts(lines) == [("purchase", AUGUST, 4118)]
    totals = totals_of(lines)
    assert (totals.net_minor, totals.tax_minor, totals.due_minor) == (4118, 782, 0)


def test_an_amount_paid_that_no_net_leads_to_is_met_by_rounding() -> None:
    known = {AUGUST: MonthCharges(GERMAN, (paid(3),))}
    totals = totals_of(lines_of(AUGUST, known, [], "EUR"))
    assert (totals.gross_minor, totals.rounding_minor, totals.due_minor) == (4, -1, 0)


def test_overage_is_credits_at_a_price_and_due_with_tax() -> None:
    overage = Charge("overage", Decimal("1000.5"), Decimal("0.012"))
    known = {AUGUST: MonthCharges(GERMAN, (paid(11900), overage))}
    totals = totals_of(lines_of(AUGUST, known, [], "EUR"))
    assert (totals.net_minor, totals.tax_minor, totals.paid_minor) == (11201, 2128, 11900)
    assert totals.due_minor == 1429


def test_reverse_charge_adds_no_tax_and_currencies_keep_their_own_digits() -> None:
    usage = Charge("usage", Decimal("10"), Decimal("1.2345"))
    for currency, net in (("JPY", 12), ("EUR", 1235), ("KWD", 12345)):
        totals = totals_of(
            lines_of(AUGUST, {AUGUST: MonthCharges(REVERSE, (usage,))}, [], currency)
        )
        assert (totals.net_minor, totals.tax_minor, totals.due_minor) == (net, 0, net)


def test_a_month_without_charges_has_one_zero_line() -> None:
    lines = lines_of(AUGUST, {AUGUST: MonthCharges(GERMAN, ())}, [], "EUR")
    assert amounts(lines) == [("covered", AUGUST, 0)]
    assert totals_of(lines).due_minor == 0


def test_late_usage_stands_on_the_next_invoice_under_its_own_month() -> None:
    def usage(amount: int) -> MonthCharges:
        return MonthCharges(GERMAN, (Charge("usage", Decimal(amount), Decimal("0.5")),))

    first = lines_of(JULY, {JULY: usage(10)}, [], "EUR")
    second = lines_of(AUGUST, {JULY: usage(14), AUGUST: usage(3)}, first, "EUR")
    assert amounts(second) == [("usage", AUGUST, 150), ("usage", JULY, 200)]
    assert [line.is_correction for line in second] == [False, True]
    assert [line.credits for line in second] == [3, 4]


def test_a_month_found_under_another_tax_is_taken_back_and_charged_anew() -> None:
    usage = (Charge("usage", Decimal(10), Decimal("0.5")),)
    first = lines_of(JULY, {JULY: MonthCharges(GERMAN, usage)}, [], "EUR")
    known = {JULY: MonthCharges(REVERSE, usage), AUGUST: MonthCharges(REVERSE, ())}
    second = lines_of(AUGUST, known, first, "EUR")
    assert [(line.tax, line.net_minor) for line in second] == [(REVERSE, 500), (GERMAN, -500)]


def test_credit_that_outweighs_the_charges_goes_on_a_note() -> None:
    refund = Charge("refund", gross_minor=-5000, paid_minor=-5000)
    lines = lines_of(AUGUST, {AUGUST: MonthCharges(REVERSE, (paid(100), refund))}, [], "EUR")
    invoice, note = split(lines)
    assert amounts(invoice) == [("purchase", AUGUST, 100)]
    assert amounts(note) == [("refund", AUGUST, -5000)]
    only_refund = {AUGUST: MonthCharges(REVERSE, (refund,))}
    invoice, note = split(lines_of(AUGUST, only_refund, [], "EUR"))
    assert amounts(invoice) == [("covered", AUGUST, 0)] and len(note) == 1


def test_a_chargeback_leaves_due_what_was_spent() -> None:
    taken = Charge("chargeback", gross_minor=-2000, paid_minor=-5000)
    totals = totals_of(lines_of(AUGUST, {AUGUST: MonthCharges(REVERSE, (taken,))}, [], "EUR"))
    assert (totals.gross_minor, totals.paid_minor, totals.due_minor) == (-2000, -5000, 3000)


def test_lots_take_invoiced_overage_off_and_withdrawn_usage_is_not_granted_again() -> None:
    def line(month: date, amount: int) -> Line:
        return Line(1, "overage", month, False, Decimal(amount), Decimal(1), 0, 0, 0, REVERSE)

    assert overage_lots([line(AUGUST, 10)], Decimal(0), Decimal(0)) == [(AUGUST, 10)]
    withdrawn = [line(SEPTEMBER, 20), line(AUGUST, -5)]
    assert overage_lots(withdrawn, Decimal(10), Decimal(10)) == [(SEPTEMBER, 15)]
    assert overage_lots([line(AUGUST, -5)], Decimal(10), Decimal(10)) == []
    assert overage_lots([line(SEPTEMBER, 7)], Decimal(10), Decimal(5)) == [(SEPTEMBER, 2)]
    late = [line(SEPTEMBER, 20), line(AUGUST, 5)]
    assert overage_lots(late, Decimal(10), Decimal(10)) == [(AUGUST, 5), (SEPTEMBER, 20)]


def test_a_close_keeps_the_balance_of_its_month_and_the_first_one_those_before() -> None:
    def balance(month: date, cash: int, currency: str = "EUR") -> BookBalance:
        return BookBalance(month, currency, cash, 0, 0, 0, 0, 0, 0)

    known = [balance(JULY, 5), balance(JULY, 7, "USD"), balance(SEPTEMBER, 9)]
    assert closed_balances(known, AUGUST, []) == [
        *(balance(JULY, 5), balance(JULY, 7, "USD")),
        *(balance(AUGUST, 5), balance(AUGUST, 7, "USD")),
    ]
    assert closed_balances(known, SEPTEMBER, [JULY, AUGUST]) == [
        *(balance(SEPTEMBER, 9), balance(SEPTEMBER, 7, "USD")),
    ]
    assert closed_balances([], AUGUST, []) == []


@given(months(), currencies)
def test_lines_add_up_to_totals_and_totals_to_the_ledger(
    known: MonthCharges, currency: str
) -> None:
    lines = lines_of(AUGUST, {AUGUST: known}, [], currency)
    for part in (lines, *split(lines)):
        totals = totals_of(part)
        assert totals.net_minor == sum(line.net_minor for line in part)
        assert totals.gross_minor == totals.net_minor + totals.tax_minor
        assert totals.due_minor == totals.gross_minor + totals.rounding_minor - totals.paid_minor
        assert abs(totals.rounding_minor) <= 1 + len(totals.taxes)
        assert [line.number for line in part] == list(range(1, len(part) + 1))
        for total in totals.taxes:
            exact = Fraction(total.net_minor) * Fraction(total.tax.percent) / 100
            assert abs(total.tax_minor - exact) <= Fraction(1, 2)
    ledger = sum((charge.net(currency, known.tax) for charge in known.charges), Fraction(0))
    assert totals_of(lines).net_minor == rounded(ledger)
    invoice, note = split(lines)
    assert sum(line.net_minor for line in (*invoice, *note)) == totals_of(lines).net_minor
    assert totals_of(invoice).gross_minor >= 0


@given(st.lists(st.tuples(months(), months(), months()), min_size=3, max_size=6), currencies)
def test_invoices_and_notes_always_add_up_to_the_ledger(
    states: list[tuple[MonthCharges, ...]], currency: str
) -> None:
    """Every close sees another state of every month, as late events and corrections make it."""
    calendar = [date(2026, number, 1) for number in range(1, len(states) + 1)]
    issued: list[Line] = []
    granted = invoiced = Decimal(0)
    for at, month in enumerate(calendar):
        known = {day: states[at][index % 3] for index, day in enumerate(calendar[: at + 1])}
        lines = lines_of(month, known, issued, currency)
        lots = overage_lots(lines, granted, invoiced)
        granted += sum((amount for _, amount in lots), Decimal(0))
        invoiced += sum((line.credits for line in lines), Decimal(0))
        assert granted >= invoiced and all(amount > 0 for _, amount in lots)
        for part in split(lines):
            issued += part
        sums: dict[date, Decimal | int] = defaultdict(int)
        paid_by_month: dict[date, int] = defaultdict(int)
        for line in issued:
            sums[line.month] += line.net_minor
            paid_by_month[line.month] += line.paid_minor
        for day, state in known.items():
            exact = sum((c.net(currency, state.tax) for c in state.charges), Fraction(0))
            assert sums[day] == rounded(exact)
            assert paid_by_month[day] == sum(charge.paid_minor for charge in state.charges)
        assert lines_of(month, known, issued, currency)[0].kind == "covered"
