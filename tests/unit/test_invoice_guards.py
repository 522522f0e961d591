"""The guards of a close: what trips them, and that they say what to do."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.invoices import guards
from billing.invoices.facts import Facts, MonthFacts
from billing.invoices.guards import Limits
from billing.invoices.parties import Profile, TaxRate, profile_at, tax_at
from warehouse.publication import Publication

ZERO = Decimal(0)
LIMITS = Limits(grace_days=3, unrated_credits=Decimal(10), bound=5.0)
JULY, AUGUST, SEPTEMBER = date(2026, 7, 1), date(2026, 8, 1), date(2026, 9, 1)
MONTH = MonthFacts(
    "acme", AUGUST, "postpaid", "EUR",
    datetime(2026, 7, 31, 22, tzinfo=UTC), datetime(2026, 8, 31, 22, tzinfo=UTC),
    ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, 0, ZERO,
)  # fmt: skip
READ = Facts(
    Publication(1, datetime(2026, 9, 5, tzinfo=UTC), 1, 1, 1),
    datetime(2026, 9, 5, tzinfo=UTC), {}, {}, {}, {},
)  # fmt: skip


def test_a_month_closes_after_the_days_of_grace_in_the_accounts_zone() -> None:
    at = datetime(2026, 9, 3, 22, tzinfo=UTC)
    assert guards.month_is_over(MONTH, LIMITS, at) is None
    early = guards.month_is_over(MONTH, LIMITS, at.replace(hour=21, minute=59))
    assert early is not None and "2026-09-03 22:00 UTC" in early


def test_data_must_reach_the_months_end_and_nothing_of_it_may_be_pending() -> None:
    assert guards.data_are_whole(MONTH, READ) is None
    old = guards.data_are_whole(MONTH, replace(READ, loaded_at=datetime(2026, 8, 30, tzinfo=UTC)))
    assert old is not None and "meterhouse refresh" in old
    inside = replace(READ, pending_since={"acme": datetime(2026, 8, 31, 21, tzinfo=UTC)})
    assert "2026-08-31 is loaded" in str(guards.data_are_whole(MONTH, inside))
    after = replace(READ, pending_since={"acme": MONTH.ends_at, "blue": MONTH.starts_at})
    assert guards.data_are_whole(MONTH, after) is None


def test_unrated_usage_holds_a_month_unless_it_costs_little() -> None:
    assert guards.usage_is_rated(replace(MONTH, unrated_events=3), LIMITS) is None
    dear = replace(MONTH, unrated_events=3, exposure_high=Decimal("10.5"))
    assert "up to 10.5 credits" in str(guards.usage_is_rated(dear, LIMITS))
    unbounded = replace(MONTH, unrated_events=1, exposure_high=None)
    assert "without a limit" in str(guards.usage_is_rated(unbounded, LIMITS))


def test_months_are_closed_one_after_the_other_once_the_first_was() -> None:
    assert guards.months_follow(AUGUST, None) is None
    assert guards.months_follow(AUGUST, AUGUST) is None
    assert "invoices close 2026-07" in str(guards.months_follow(AUGUST, JULY))


def test_lots_of_earlier_invoices_must_have_arrived() -> None:
    assert guards.lots_are_settled(replace(MONTH, invoiced_so_far=Decimal(5)), Decimal(5)) is None
    assert "took 5 credits" in str(guards.lots_are_settled(MONTH, Decimal(5)))


@pytest.mark.parametrize(
    ("net", "earlier", "currency", "holds"),
    [
        (1_000_000, [], "EUR", False),
        (60_000, [10_000, 12_000], "EUR", False),
        (60_001, [10_000, 12_000], "EUR", True),
        (9_000, [10, 12], "EUR", False),
        (1_000, [60_000, 70_000], "EUR", True),
        (20_000, [60_000, 70_000], "EUR", False),
        (601, [100, 120], "JPY", True),
        (0, [0, 70_000], "EUR", False),
        (20_000, [-500], "EUR", True),
    ],
)
def test_a_total_far_from_earlier_ones_is_held(
    net: int, earlier: list[int], currency: str, holds: bool
) -> None:
    reason = guards.total_is_sane(net, earlier, currency, LIMITS)
    assert (reason is not None) == holds
    assert reason is None or "--accept" in reason


def test_a_profile_and_a_rate_hold_from_their_month_and_the_last_recorded_counts() -> None:
    first = Profile(
        "acme", date(1970, 1, 1), "Old", "s", "1", "c", "DE", None, "standard", "en", None
    )
    later = replace(first, effective_from=AUGUST, name="New", tax_treatment="reverse_charge")
    mended = replace(later, name="Newer")
    assert profile_at([first, later, mended], JULY) == first
    assert profile_at([later, mended, first], SEPTEMBER) == mended
    assert profile_at([later], JULY) is None
    rates = [TaxRate("DE", Decimal(19), JULY), TaxRate("DE", Decimal(16), AUGUST)]
    assert str(tax_at(first, "DE", rates, JULY)) == "Tax(category='S', percent=Decimal('19'))"
    august = tax_at(first, "DE", rates, SEPTEMBER)
    assert august is not None and august.percent == 16
    assert tax_at(first, "DE", rates, date(2026, 6, 1)) is None
    assert tax_at(first, "FR", rates, JULY) is None
    reverse = tax_at(later, "FR", rates, AUGUST)
    assert reverse is not None and (reverse.category, reverse.percent) == ("AE", 0)
    zero = tax_at(first, "AE", [TaxRate("AE", ZERO, JULY)], AUGUST)
    assert zero is not None and zero.category == "Z"
