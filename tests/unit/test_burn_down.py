"""The burn-down of credits, against published vectors and against a slow reference of its own."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.burn_down import KINDS, BurnDown, Grant, Usage, burn_down

START = datetime(2026, 1, 1, tzinfo=UTC)
NANO = Decimal("0.000000001")

VECTORS = Path(__file__).resolve().parents[3] / "shared/data/credit-vectors/burn_down_vectors.json"
needs_vectors = pytest.mark.skipif(not VECTORS.exists(), reason="the real data sets are not here")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def grant(name: str, amount: str, first: int = 0, last: int | None = None, **more: Any) -> Grant:
    """A grant from one hour to another, created when it takes effect."""
    given = {"priority": 10, "kind": "purchased", "voided_at": None, "created_at": hour(first)}
    return Grant(
        id=name,
        amount=Decimal(amount),
        effective_at=hour(first),
        expires_at=None if last is None else hour(last),
        **(given | more),
    )


def used(*items: tuple[int, str]) -> list[Usage]:
    return [Usage(hour(number), Decimal(amount)) for number, amount in items]


# --- published vectors ----------------------------------------------------------------------


def vectors(source: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())[source]
    return found


@needs_vectors
def test_the_vectors_of_openmeter_hold() -> None:
    cases = vectors("openmeter")
    assert len(cases) == 8
    for case in cases:
        grants = [
            Grant(
                id=row["id"],
                amount=Decimal(row["amount"]),
                priority=row["priority"],
                kind="purchased",
                effective_at=at(row["effective_at"]),
                expires_at=at(row["expires_at"]) if "expires_at" in row else None,
                voided_at=at(row["voided_at"]) if "voided_at" in row else None,
                created_at=at(row["effective_at"]),
            )
            for row in case["grants"]
        ]
        usage = [Usage(at(row["at"]), Decimal(row["amount"])) for row in case["usage"]]
        found = burn_down(grants, usage, at(case["run"]["until"]))
        assert found.remaining == case["expected"]["balances"], case["id"]
        if "overage" in case["expected"]:
            assert found.overage == case["expected"]["overage"], case["id"]


@needs_vectors
def test_the_vectors_of_lago_hold() -> None:
    cases = vectors("lago")
    assert len(cases) == 3
    for case in cases:
        grants = [
            Grant(
                id=row["id"],
                amount=Decimal(row["remaining"]),
                priority=row["priority"],
                kind="promotional" if row["kind"] == "granted" else "purchased",
                effective_at=START,
                expires_at=None,
                voided_at=None,
                created_at=START + timedelta(days=int(row.get("created", "0d").rstrip("d"))),
            )
            for row in case["inbound"]
        ]
        found = burn_down(grants, used((1, str(case["consume"]))), hour(2))
        assert found.remaining == case["expected"], case["id"]


# --- rules, one by one ----------------------------------------------------------------------


def test_usage_at_the_instant_of_effect_is_covered_and_at_expiry_is_not() -> None:
    found = burn_down([grant("a", "10", 1, 2)], used((1, "3"), (2, "4")), hour(3))
    assert found.remaining == {"a": 0}
    assert found.overage == 4
    assert [(f.amount, f.at, f.reason) for f in found.forfeits] == [(7, hour(2), "expired")]


def test_until_is_exclusive_for_usage_grants_and_ends() -> None:
    grants = [grant("ends", "10", 0, 5), grant("begins", "10", 5)]
    found = burn_down(grants, used((4, "1"), (5, "2")), hour(5))
    assert found.remaining == {"ends": 9, "begins": 0}
    assert found.overage == 0 and not found.forfeits


def test_the_earlier_expiry_burns_first_and_none_last() -> None:
    grants = [grant("never", "10"), grant("late", "10", 0, 9), grant("soon", "10", 0, 8)]
    found = burn_down(grants, used((1, "15")), hour(2))
    assert found.remaining == {"soon": 0, "late": 5, "never": 10}


def test_promotional_credits_burn_before_all_others_of_equal_expiry() -> None:
    grants = [grant(kind, "10", kind=kind) for kind in ("refund", "adjustment", "purchased")]
    grants.append(grant("gift", "10", kind="promotional", created_at=hour(9)))
    assert burn_down(grants, used((1, "10")), hour(2)).remaining["gift"] == 0


def test_a_gift_burns_before_older_credits_of_other_kinds_that_never_expire_either() -> None:
    grants = [grant("bought", "10", 0), grant("gift", "10", 1, kind="promotional")]
    found = burn_down(grants, used((2, "4")), hour(3))
    assert found.remaining == {"bought": 10, "gift": 6}


def test_the_next_grant_pays_what_was_open_before_anything_else() -> None:
    grants = [grant("first", "10"), grant("next", "10", 5)]
    found = burn_down(grants, used((1, "13"), (6, "4")), hour(7))
    assert found.remaining == {"first": 0, "next": 3}
    assert found.overage == 0
    assert (found.consumptions[1].grant_id, found.consumptions[1].at) == ("next", hour(5))


def test_a_grant_that_ends_before_its_effect_is_forfeited_whole() -> None:
    found = burn_down([grant("a", "10", 4, voided_at=hour(2))], used((5, "1")), hour(6))
    assert found.remaining == {"a": 0}
    assert [(f.amount, f.at, f.reason) for f in found.forfeits] == [(10, hour(4), "voided")]
    assert found.overage == 1


@pytest.mark.parametrize(
    ("grants", "usage", "message"),
    [
        ([grant("a", "1"), grant("a", "2")], [], "same id"),
        ([], used((1, "-1")), "negative"),
        ([grant("a", "0.0000000001")], [], "decimals"),
        ([], [Usage(datetime(2026, 1, 1), Decimal(1))], "no time zone"),
        ([], [Usage(START, Decimal("NaN"))], "no finite"),
    ],
)
def test_what_cannot_be_is_refused(grants: list[Grant], usage: list[Usage], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        burn_down(grants, usage, hour(9))


# --- against an independent reference -------------------------------------------------------


def reference(
    grants: Sequence[Grant], usage: Sequence[Usage], until: datetime
) -> tuple[dict[str, Decimal], Decimal, dict[str, Decimal]]:
    """Event by event, in Decimals: (remaining, overage, forfeited by grant).

    At every usage it looks for the best grant that is active at that instant; open overage is
    offered to each grant when it takes effect.
    """

    def order(one: Grant) -> tuple[Any, ...]:
        far = datetime.max.replace(tzinfo=UTC)
        return (
            one.priority,
            one.expires_at or far,
            0 if one.kind == "promotional" else 1,
            one.effective_at,
            one.created_at,
            one.id,
        )

    def is_active(one: Grant, moment: datetime) -> bool:
        return (
            one.effective_at <= moment
            and (one.expires_at is None or moment < one.expires_at)
            and (one.voided_at is None or moment < one.voided_at)
        )

    left = {one.id: one.amount for one in grants}
    overage = Decimal(0)
    instants = sorted(
        {item.at for item in usage if item.at < until}
        | {one.effective_at for one in grants if one.effective_at < until}
    )
    for moment in instants:
        for one in sorted(grants, key=order):
            if one.effective_at == moment and is_active(one, moment):
                paid = min(left[one.id], overage)
                left[one.id] -= paid
                overage -= paid
        for item in usage:
            if item.at != moment:
                continue
            due = item.amount
            for one in sorted(grants, key=order):
                if is_active(one, moment):
                    paid = min(left[one.id], due)
                    left[one.id] -= paid
                    due -= paid
            overage += due
    last = until - timedelta(microseconds=1)
    remaining = {one.id: left[one.id] if is_active(one, last) else Decimal(0) for one in grants}
    forfeited = {
        one.id: left[one.id]
        for one in grants
        if one.effective_at < until and not is_active(one, last) and left[one.id]
    }
    return remaining, overage, forfeited


amounts = st.integers(0, 40).map(Decimal) | st.integers(0, 10**13).map(lambda n: n * NANO)
hours = st.integers(0, 30)


@st.composite
def many_grants(draw: st.DrawFn) -> list[Grant]:
    rows = draw(
        st.lists(
            st.tuples(
                amounts,
                st.integers(0, 2),
                st.sampled_from(KINDS),
                hours,
                st.none() | hours,
                st.none() | hours,
                hours,
            ),
            max_size=8,
        )
    )
    return [
        Grant(
            id=f"g{number}",
            amount=amount,
            priority=priority,
            kind=kind,
            effective_at=hour(first),
            expires_at=None if last is None else hour(last),
            voided_at=None if void is None else hour(void),
            created_at=hour(made),
        )
        for number, (amount, priority, kind, first, last, void, made) in enumerate(rows)
    ]


many_usages = st.lists(st.builds(Usage, hours.map(hour), amounts), max_size=25)


def forfeited(found: BurnDown) -> dict[str, Decimal]:
    return {forfeit.grant_id: forfeit.amount for forfeit in found.forfeits}


@given(many_grants(), many_usages, st.integers(0, 32).map(hour), st.randoms())
def test_it_equals_the_reference_in_any_order_of_arrival(
    grants: list[Grant], usage: list[Usage], until: datetime, chance: random.Random
) -> None:
    expected = reference(grants, usage, until)
    chance.shuffle(grants)
    chance.shuffle(usage)
    found = burn_down(grants, usage, until)
    assert (dict(found.remaining), found.overage, forfeited(found)) == expected


@given(many_grants(), many_usages, st.integers(0, 32).map(hour))
def test_nothing_is_lost_or_counted_twice(
    grants: list[Grant], usage: list[Usage], until: datetime
) -> None:
    found = burn_down(grants, usage, until)
    lost = forfeited(found)
    for one in grants:
        consumed = sum(c.amount for c in found.consumptions if c.grant_id == one.id)
        begun = one.amount if one.effective_at < until else 0
        assert begun == consumed + lost.get(one.id, 0) + found.remaining[one.id]
    consumed = sum(consumption.amount for consumption in found.consumptions)
    assert sum(item.amount for item in usage if item.at < until) == consumed + found.overage


@given(many_grants(), many_usages, st.integers(0, 32).map(hour))
def test_sums_between_the_instants_where_grants_change_give_the_same(
    grants: list[Grant], usage: list[Usage], until: datetime
) -> None:
    borders = sorted(
        {moment for one in grants for moment in (one.effective_at, one.ends_at) if moment}
        | {START, until}
    )
    sums: dict[datetime, Decimal] = {}
    for item in usage:
        begin = max(border for border in borders if border <= item.at)
        sums[begin] = sums.get(begin, Decimal(0)) + item.amount
    summed = burn_down(grants, [Usage(moment, total) for moment, total in sums.items()], until)
    single = burn_down(grants, usage, until)
    assert summed.remaining == single.remaining
    assert (summed.overage, summed.forfeits) == (single.overage, single.forfeits)
