"""The pace of weekdays, how long lots last at it, and the position that follows."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.burn_down import Grant
from billing.live_usage import LiveUsage
from billing.lots import Ending, Lot, borders_of
from billing.position import CreditPosition, position_of
from billing.runway import RUNWAY_LIMIT, Pace, pace_of, runway_days

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
TODAY = NOW.date()
EVEN = Pace({weekday: Decimal(2) for weekday in range(7)}, Decimal(2))


def used(days: int, amount: str = "3", **spikes: str) -> dict[date, Decimal]:
    found = {TODAY - timedelta(days=back): Decimal(amount) for back in range(1, days + 1)}
    return found | {date.fromisoformat(f"2026-{day}"): Decimal(x) for day, x in spikes.items()}


def lot(number: int, credits: str, days_ago: int = 30, **more: Any) -> Lot:
    given: dict[str, Any] = {
        "kind": "purchased",
        "priority": 50,
        "expires_at": None,
        "purchase_id": None,
        "paid_minor": None,
        "currency": None,
        "ending": None,
    }
    return Lot(
        grant_id=number,
        reference=f"lot {number}",
        account_id="acme",
        credits=Decimal(credits),
        effective_at=NOW - timedelta(days=days_ago),
        reason="bought",
        recorded_at=NOW - timedelta(days=days_ago),
        recorded_by="test",
        **given | more,
    )


def as_grants(*lots: Lot) -> list[Grant]:
    return [one.as_grant() for one in lots]


def position(lots: list[Lot], settled: str = "0", pending: str = "0") -> CreditPosition:
    """Usage all lies a day before now."""
    borders = borders_of(lots, NOW)
    stretch = sum(border <= NOW - timedelta(days=1) for border in borders)
    sums = [
        [Decimal(amount) if number == stretch else Decimal(0) for number in range(len(borders))]
        for amount in (settled, pending)
    ]
    usage = LiveUsage(borders, *sums, daily={}, pending_events=1, pending_unrated_events=0)
    return position_of("acme", lots, usage, EVEN, NOW, TODAY)


def test_one_spike_does_not_change_the_pace() -> None:
    spiky = used(28)
    spiky[TODAY - timedelta(days=5)] = Decimal(900)
    pace = pace_of(spiky, TODAY)
    assert pace is not None and pace.daily == 3
    assert set(pace.by_weekday.values()) == {3}


def test_weekdays_have_their_own_pace() -> None:
    days = {day: amount for day, amount in used(28).items() if day.weekday() < 5}
    pace = pace_of(days, TODAY)
    assert pace is not None
    assert [pace.by_weekday[weekday] for weekday in range(7)] == [3] * 5 + [0] * 2
    assert pace.daily == Decimal("2.142857143")


def test_days_before_the_first_usage_do_not_slow_the_pace() -> None:
    pace = pace_of(used(3, "6"), TODAY)
    assert pace is not None and set(pace.by_weekday.values()) == {6}


def test_today_alone_gives_no_pace() -> None:
    assert pace_of({TODAY: Decimal(5)}, TODAY) is None
    assert pace_of({}, TODAY) is None


def test_long_ago_usage_gives_a_pace_of_nothing() -> None:
    pace = pace_of({TODAY - timedelta(days=90): Decimal(5)}, TODAY)
    assert pace is not None and pace.daily == 0


@pytest.mark.parametrize(("credits", "days"), [("10", 5), ("11.5", 5), ("1", 0), ("0", 0)])
def test_the_runway_is_whole_days_that_lots_cover(credits: str, days: int) -> None:
    assert runway_days(as_grants(lot(1, credits)), EVEN, NOW, TODAY) == days


def test_lots_that_expire_or_begin_change_the_runway() -> None:
    ending = lot(1, "100", expires_at=NOW + timedelta(days=3, hours=1))
    assert runway_days(as_grants(ending), EVEN, NOW, TODAY) == 3
    next_one = lot(2, "4", days_ago=-3)
    assert runway_days(as_grants(ending, next_one), EVEN, NOW, TODAY) == 5


def test_lots_that_outlast_the_limit_have_no_runway() -> None:
    assert runway_days(as_grants(lot(1, str(2 * RUNWAY_LIMIT))), EVEN, NOW, TODAY) is None


def test_pending_usage_lowers_the_balance_and_is_told_apart() -> None:
    found = position([lot(1, "10")], settled="3", pending="2.5")
    assert (found.balance, found.settled_balance, found.pending) == (
        Decimal("4.5"), 7, Decimal("2.5")
    )  # fmt: skip
    assert found.runway_days == 2


def test_withdrawn_usage_raises_the_balance() -> None:
    found = position([lot(1, "10")], settled="3", pending="-1")
    assert (found.balance, found.settled_balance, found.pending) == (8, 7, -1)


def test_overage_is_a_negative_balance_without_any_runway() -> None:
    found = position([lot(1, "10")], settled="12")
    assert (found.balance, found.overage, found.remaining, found.runway_days) == (-2, 2, 0, 0)


def test_each_lot_says_how_it_stands() -> None:
    voided = Ending("void", NOW - timedelta(days=2), None, None, None, "mistake", "test")
    lots = [
        lot(1, "5", expires_at=NOW - timedelta(days=3)),
        lot(2, "2", priority=1),
        lot(3, "4"),
        lot(4, "7", ending=voided),
        lot(5, "9", days_ago=-1),
    ]
    found = position(lots, settled="3")
    assert {one.grant_id: (one.status, one.consumed, one.remaining) for one in found.lots} == {
        1: ("expired", 0, 0),
        2: ("exhausted", 2, 0),
        3: ("active", 1, 3),
        4: ("voided", 0, 0),
        5: ("scheduled", 0, 0),
    }
    assert found.balance == 3
