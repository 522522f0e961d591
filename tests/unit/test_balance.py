"""What the head of a page says of a balance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.balance import balance_head, runway, standing
from app.gate import Account
from app.queries.credits import soon
from billing.position import CreditPosition, LotPosition

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ACCOUNT = Account("acme", "Acme <b>", "Europe/Berlin", "EUR", "prepaid", None, None, None)
LOT = LotPosition(
    grant_id=1,
    kind="purchased",
    priority=50,
    granted=Decimal(1000),
    consumed=Decimal(100),
    forfeited=Decimal(0),
    remaining=Decimal(900),
    effective_at=NOW - timedelta(days=30),
    expires_at=None,
    status="active",
    reason="Growth pack",
)
FULL = CreditPosition(
    account_id="acme",
    at=NOW,
    balance=Decimal("893.5"),
    settled_balance=Decimal(900),
    pending=Decimal("6.5"),
    pending_events=12,
    pending_unrated_events=2,
    remaining=Decimal("893.5"),
    overage=Decimal(0),
    lots=(LOT,),
    daily_pace=Decimal("12.3"),
    runway_days=71,
    settled_until=NOW,
)
NOTHING = replace(FULL, balance=Decimal(0), remaining=Decimal(0), runway_days=0)


@pytest.mark.parametrize(
    ("position", "plan", "kind", "text"),
    [
        (FULL, "prepaid", "good", "Covered"),
        (replace(FULL, runway_days=13), "prepaid", "warn", "Low balance"),
        (replace(FULL, runway_days=14), "prepaid", "good", "Covered"),
        (replace(FULL, runway_days=None), "prepaid", "good", "Covered"),
        (NOTHING, "prepaid", "bad", "Nothing left"),
        (NOTHING, "postpaid", "warn", "Nothing left"),
        (replace(NOTHING, overage=Decimal(3)), "prepaid", "bad", "Overage"),
        (replace(NOTHING, overage=Decimal(3)), "prepaid_with_overage", "warn", "Overage"),
        (replace(NOTHING, lots=()), "prepaid", "quiet", "No credits yet"),
    ],
)
def test_how_an_account_stands_is_said_in_a_word(position, plan, kind, text):
    found = standing(position, plan)
    assert (found.kind, found.text) == (kind, text)


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (FULL, "≈ 71 days left at 12.30 a day"),
        (replace(FULL, runway_days=1), "≈ 1 day left at 12.30 a day"),
        (replace(FULL, runway_days=0), "Less than a day left at 12.30 a day"),
        (replace(FULL, runway_days=None), "More than a year left at 12.30 a day"),
        (NOTHING, "Nothing left; usage goes on at 12.30 a day"),
        (
            replace(FULL, daily_pace=None, runway_days=None),
            "No usage in the last four weeks to tell how long it lasts",
        ),
    ],
)
def test_the_runway_says_which_pace_it_assumes(position, text):
    assert runway(position) == text


def test_the_head_shows_the_balance_and_its_two_parts():
    text = balance_head(FULL, ACCOUNT, NOW, is_on_credits=False)
    for shown in (
        'data-balance="893.5"',
        ">900.00<",
        "\N{MINUS SIGN}6.50",
        "12 operations · 2 not rated yet",
        "checked 25 Nov 2026, 13:00 CET",
        'href="credits?account=acme"',
    ):
        assert shown in text


def test_usage_taken_back_raises_what_is_pending():
    text = balance_head(replace(FULL, pending=Decimal(-2)), ACCOUNT, NOW, is_on_credits=True)
    assert ">+2.00<" in text
    assert "href" not in text


def test_lots_that_expire_soon_come_in_the_order_in_which_they_do():
    def lot(number: int, days: int | None, **changes) -> LotPosition:
        ends = None if days is None else NOW + timedelta(days=days)
        return replace(LOT, grant_id=number, expires_at=ends, **changes)

    lots = [
        lot(1, 9),
        lot(2, 3),
        lot(3, None),
        lot(4, 30),
        lot(5, 2, status="exhausted", remaining=Decimal(0)),
        lot(6, 1, status="scheduled"),
    ]
    assert [each.grant_id for each in soon(lots, NOW, 14)] == [2, 1]
    assert [each.grant_id for each in soon(lots, NOW, 30)] == [2, 1, 4]
    assert soon(lots, NOW, 0) == []


def test_the_first_to_expire_is_told_with_all_that_ends_with_it():
    ends = NOW + timedelta(days=3)
    lots = (replace(LOT, expires_at=ends), replace(LOT, grant_id=2, expires_at=ends))
    text = balance_head(replace(FULL, lots=lots), ACCOUNT, NOW, is_on_credits=True)
    assert "1,800.00 expire 28 Nov 2026, 13:00 CET" in text
