"""Refunds and chargebacks: never more money than was paid, no credit made or lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.burn_down import Usage
from billing.lots import (
    Ending,
    Lot,
    LotState,
    NoUsage,
    borders_of,
    owed_after_chargeback,
    refund_of_credits,
    refund_of_money,
    require_voidable,
    spent_of,
    summed,
    unspent_value,
)
from warehouse.errors import MeterhouseError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOT = Lot(
    grant_id=7,
    reference="r",
    account_id="acme",
    kind="purchased",
    credits=Decimal(1000),
    priority=50,
    effective_at=NOW,
    expires_at=None,
    purchase_id=None,
    paid_minor=4900,
    currency="EUR",
    reason="x",
    recorded_at=NOW,
    recorded_by="ann",
)
NANO = Decimal("0.000000001")

nanos = st.integers(1, 10**15)
parts = st.lists(st.integers(0, 10**6), min_size=1, max_size=6)


def credits(nano: int) -> Decimal:
    return Decimal(nano) * NANO


@given(total=nanos, paid=st.integers(1, 10**7), spent_share=st.integers(0, 10**6), steps=parts)
@example(total=1_000_000, paid=2, spent_share=1, steps=[500_000])
def test_refunds_in_any_steps_pay_at_most_the_unspent_part_and_conserve_credits(
    total: int, paid: int, spent_share: int, steps: list[int]
) -> None:
    lot = replace(LOT, credits=credits(total), paid_minor=paid)
    unspent = credits(total - total * spent_share // 10**6)
    if not unspent:
        return
    at_once = unspent_value(lot, unspent)
    assert at_once <= paid
    money, taken, left = 0, Decimal(0), unspent
    current = lot
    for step in [*steps, None]:
        if left <= 0 or not unspent_value(current, left):
            break
        wanted = left if step is None else max(NANO, (left * step / 10**6).quantize(NANO))
        try:
            plan = refund_of_credits(current, left, min(wanted, left))
        except MeterhouseError:
            continue  # worth less than the smallest coin
        assert 0 < plan.credits <= wanted
        assert plan.credits + plan.remainder_credits == left
        money, taken = money + plan.refunded_minor, taken + plan.credits
        assert plan.refunded_minor + plan.remainder_minor == unspent_value(current, left)
        left = plan.remainder_credits
        current = replace(lot, credits=left or lot.credits, paid_minor=plan.remainder_minor)
    assert money <= at_once
    assert taken + left == unspent
    if not left:
        assert money == at_once


@given(total=nanos, paid=st.integers(1, 10**7), share=st.integers(0, 10**6), back=st.integers(1))
def test_money_back_takes_as_many_credits_as_it_bought_and_no_more_than_are_left(
    total: int, paid: int, share: int, back: int
) -> None:
    lot = replace(LOT, credits=credits(total), paid_minor=paid)
    unspent = credits(total * share // 10**6)
    plan = refund_of_money(lot, unspent, back)
    assert plan.credits + plan.remainder_credits == unspent
    assert plan.refunded_minor <= back
    assert plan.refunded_minor + plan.remainder_minor <= paid
    if plan.remainder_credits:
        assert plan.refunded_minor == back
        assert plan.credits * paid >= back * lot.credits > (plan.credits - NANO) * paid


@given(total=nanos, paid=st.integers(1, 10**7), share=st.integers(0, 10**6))
def test_after_a_chargeback_the_spent_part_is_owed_and_never_more_than_it_cost(
    total: int, paid: int, share: int
) -> None:
    lot = replace(LOT, credits=credits(total), paid_minor=paid)
    unspent = credits(total * share // 10**6)
    owed = owed_after_chargeback(lot, unspent, paid)
    exact = Decimal(paid) * (lot.credits - unspent) / lot.credits
    assert exact - 1 < owed <= exact


def test_half_a_lot_is_worth_half_its_cash() -> None:
    plan = refund_of_credits(LOT, Decimal(500), None)
    assert (plan.credits, plan.refunded_minor, plan.remainder_credits) == (500, 2450, 0)
    plan = refund_of_credits(LOT, Decimal(500), Decimal(200))
    assert (plan.credits, plan.refunded_minor) == (200, 980)
    assert (plan.remainder_credits, plan.remainder_minor) == (300, 1470)
    assert owed_after_chargeback(LOT, Decimal(500), 4900) == 2450


def test_only_as_many_credits_go_as_the_money_bought() -> None:
    plan = refund_of_credits(LOT, Decimal(1000), Decimal("10.1"))
    assert (plan.refunded_minor, plan.credits) == (49, Decimal("10.000000000"))


@pytest.mark.parametrize(
    ("lot", "unspent", "wanted", "complaint"),
    [
        (LOT, Decimal(5), Decimal(6), "of the lot 7 5 credits are unspent"),
        (LOT, Decimal(0), None, "is spent or has expired"),
        (LOT, Decimal("0.1"), None, "worth less than the smallest coin of EUR"),
        (replace(LOT, paid_minor=None), Decimal(5), None, "nothing was paid for the lot 7"),
        (
            replace(LOT, ending=Ending("void", NOW, None, None, None, "oops", "ann")),
            Decimal(5),
            None,
            r"ended by void on 2026-11-23 12:00 UTC \(oops\)",
        ),
    ],
)
def test_a_refund_that_cannot_be_says_why(
    lot: Lot, unspent: Decimal, wanted: Decimal | None, complaint: str
) -> None:
    with pytest.raises(MeterhouseError, match=complaint):
        refund_of_credits(lot, unspent, wanted)


def test_a_void_of_a_spent_or_expired_lot_says_which() -> None:
    nothing = Decimal(0)
    require_voidable(LOT, LotState(Decimal(999), nothing, Decimal(1)))
    with pytest.raises(MeterhouseError, match="is spent; there is nothing to void"):
        require_voidable(LOT, LotState(Decimal(1000), nothing, nothing))
    expired = replace(LOT, expires_at=NOW + timedelta(days=1))
    with pytest.raises(MeterhouseError, match="expired on 2026-11-24"):
        require_voidable(expired, LotState(nothing, Decimal(1000), nothing))


class Events:
    """Usage as single events."""

    def __init__(self, *events: Usage) -> None:
        self.events = events

    def between(self, account_id: str, borders: list[datetime]) -> list[Usage]:
        return summed(self.events, borders)


def test_what_is_spent_follows_from_usage_and_all_lots_of_the_account() -> None:
    first = replace(LOT, credits=Decimal(10), expires_at=NOW + timedelta(days=2))
    second = replace(LOT, grant_id=8, credits=Decimal(10))
    usage = Events(
        Usage(NOW - timedelta(days=1), Decimal(3)),
        Usage(NOW + timedelta(hours=1), Decimal(4)),
        Usage(NOW + timedelta(days=3), Decimal(5)),
    )
    states = spent_of([first, second], usage, "acme", NOW + timedelta(days=4))
    assert states[7] == LotState(Decimal(7), Decimal(3), Decimal(0))
    assert states[8] == LotState(Decimal(5), Decimal(0), Decimal(5))


def test_a_lot_without_effect_yet_is_unspent() -> None:
    later = replace(LOT, effective_at=NOW + timedelta(days=1))
    assert spent_of([later], NoUsage(), "acme", NOW)[7].unspent == 1000
    assert borders_of([later, LOT], NOW) == [NOW]
