"""The burn-down of many accounts at once gives what the pure one gives for each."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.burn_down import KINDS, Grant, Usage, burn_down, burn_order
from billing.burn_down_many import Ragged, Takes, burn_down_many
from billing.dbt_plugin import burn_down_lists

START = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(hours=24)

Account = tuple[list[Grant], list[Usage]]


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    values = [value for row in rows for value in row]
    fits = all(abs(value) < 1 << 63 for value in values)
    return Ragged(
        np.array(values, dtype=np.int64 if fits else object),
        np.cumsum([0, *(len(row) for row in rows)]),
    )


def nano(amount: Decimal) -> int:
    return int(amount.scaleb(9))


def prepared(account: Account) -> tuple[list[int], list[int], list[int], list[int]]:
    """Amounts, beginnings, ends and usage of an account, cut into segments."""
    grants, usage = account
    lots = sorted((one for one in grants if one.effective_at < UNTIL), key=burn_order)
    ends = [one.ends_at and max(one.ends_at, one.effective_at) for one in lots]
    borders = sorted(
        {one.effective_at for one in lots} | {end for end in ends if end and end < UNTIL}
    )
    segment = {moment: number for number, moment in enumerate(borders, 1)}
    sums = [0] * (len(borders) + 1)
    for item in usage:
        if item.at < UNTIL:
            sums[sum(border <= item.at for border in borders)] += nano(item.amount)
    return (
        [nano(one.amount) for one in lots],
        [segment[one.effective_at] for one in lots],
        [segment.get(end, -1) if end else -1 for end in ends],
        sums,
    )


def many(accounts: Sequence[Account]) -> Takes:
    columns = zip(*map(prepared, accounts), strict=True)
    return burn_down_many(*(ragged(column) for column in columns))


amounts = st.one_of(
    st.integers(0, 40).map(Decimal),
    st.integers(1, 10**20).map(lambda number: Decimal(number).scaleb(-9)),
)


@st.composite
def an_account(draw: st.DrawFn) -> Account:
    hours = st.integers(0, 12)
    grants = [
        Grant(
            id=f"{number:03d}",
            amount=draw(amounts),
            priority=draw(st.integers(0, 2)),
            kind=draw(st.sampled_from(KINDS)),
            effective_at=hour(draw(hours)),
            expires_at=hour(draw(hours) + 1) if draw(st.booleans()) else None,
            voided_at=hour(draw(hours)) if draw(st.integers(0, 3)) == 0 else None,
            created_at=START,
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    usage = [
        Usage(hour(draw(hours)) + timedelta(minutes=draw(st.sampled_from([0, 30]))), draw(amounts))
        for _ in range(draw(st.integers(0, 8)))
    ]
    return grants, usage


@given(st.lists(an_account(), min_size=1, max_size=5))
def test_many_accounts_at_once_are_burnt_down_as_each_alone(accounts: list[Account]) -> None:
    takes = many(accounts)
    paid: dict[tuple[int, str], int] = defaultdict(int)
    by_segment: dict[tuple[int, int], int] = defaultdict(int)
    repaid: dict[int, int] = defaultdict(int)
    lots = [
        sorted((one for one in grants if one.effective_at < UNTIL), key=burn_order)
        for grants, _ in accounts
    ]
    for account, lot, segment, is_repayment, start, end, lot_start in zip(
        *(getattr(takes, name) for name in Takes.__dataclass_fields__), strict=True
    ):
        key = (int(account), lots[account][lot].id)
        assert end > start
        assert lot_start == paid[key], "a lot is taken from without a gap"
        paid[key] += int(end - start)
        if is_repayment:
            assert start == repaid[account], "overage is paid in its order"
            repaid[account] = int(end)
        else:
            assert start == by_segment[account, segment], "usage is paid without a gap"
            by_segment[account, segment] = int(end)
    for number, (grants, usage) in enumerate(accounts):
        expected = burn_down(grants, usage, UNTIL)
        sums: dict[str, int] = defaultdict(int)
        for item in expected.consumptions:
            sums[item.grant_id] += nano(item.amount)
        assert {lot: paid[number, lot] for lot in sums} == sums
        assert sum(paid[number, one.id] for one in grants) == sum(sums.values())
        used = sum(nano(item.amount) for item in usage if item.at < UNTIL)
        assert used - sum(sums.values()) == nano(expected.overage)


def test_sums_past_64_bits_are_exact() -> None:
    huge = (1 << 62) + 1
    takes = burn_down_many(
        ragged([[huge, huge, huge], [5]]),
        ragged([[1, 1, 1], [1]]),
        ragged([[-1, -1, -1], [-1]]),
        ragged([[0, 3 * huge - 1], [0, 7]]),
    )
    assert [int(amount) for amount in takes.take_to] == [huge, 2 * huge, 3 * huge - 1, 5]
    assert list(takes.account) == [0, 0, 0, 1]


def test_nobody_pays_for_accounts_without_lots_or_usage() -> None:
    takes = burn_down_many(
        ragged([[], [3]]), ragged([[], [1]]), ragged([[], [-1]]), ragged([[4], []])
    )
    assert not len(takes.account)


@pytest.mark.parametrize("amount", [7, 10**25], ids=["small", "past 64 bits"])
def test_the_function_of_sql_gives_a_list_of_takes_a_row(amount: int) -> None:
    lots = pa.list_(
        pa.struct(
            {
                "lot_id": pa.int64(),
                "burn_rank": pa.int64(),
                "credits": pa.decimal128(38, 9),
                "begin_segment": pa.int64(),
                "end_segment": pa.int64(),
            }
        )
    )
    usage = pa.list_(pa.struct({"segment": pa.int64(), "credits": pa.decimal128(38, 9)}))

    def lot(*values: int) -> dict[str, int]:
        return dict(zip(lots.value_type.names, values, strict=True))

    def used(*amounts: int) -> list[dict[str, int]]:
        return [{"segment": n, "credits": amount} for n, amount in enumerate(amounts)][::-1]

    found = burn_down_lists(
        pa.chunked_array(
            [
                pa.array([[lot(70, 3, 9, 1, -1)], []], lots),
                pa.array([[lot(72, 9, 5, 2, -1), lot(71, 2, amount, 1, 2)]], lots),
            ]
        ),
        pa.chunked_array([pa.array([used(0, 4), used(3), used(1, 2, 4)], usage)]),
    )
    assert found.type.value_type.num_fields == 6
    take = {"lot_id": 70, "segment": 1, "is_repayment": False}
    assert found.to_pylist()[:2] == [
        [take | {"take_from": 0, "take_to": 4, "lot_from": 0}],
        [],
    ]
    last = found.to_pylist()[2]
    assert [(row["lot_id"], row["segment"], row["is_repayment"]) for row in last] == [
        (71, 1, True),
        (71, 1, False),
        (72, 2, False),
    ]
