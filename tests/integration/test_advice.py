"""Planted savings are found, overlaps count once, and what was accepted is measured."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.integration import advice_lab
from tests.integration.advice_lab import (
    NOW,
    Call,
    afterwards,
    call,
    expected,
    load,
    noise,
    odd,
    planted,
    references,
)
from tests.integration.dbt_lab import Lab

SELECTED = (
    *("config.incremental_strategy:replace_days", "config.incremental_strategy:replace_months"),
    *("+rpt_insights_advice", "+rpt_insights_advice_event", "+rpt_insights_advice_saving"),
    "fct_advice_window",
)


@dataclass(frozen=True)
class World:
    """A lake with planted savings, and what was advised when it was built first."""

    lab: Lab
    calls: list[Call]
    advice: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def of(self, account_id: str) -> list[dict[str, Any]]:
        """The advice to an account."""
        return [row for row in self.advice if row["account_id"] == account_id]

    def one(self, agent_id: str, kind: str) -> dict[str, Any]:
        """The advice of a kind about an agent."""
        (found,) = [
            row for row in self.advice if (row["agent_id"], row["kind"]) == (agent_id, kind)
        ]
        return found


def refresh(lab: Lab, calls: list[Call], **tables: Any) -> None:
    """Load calls, build advice and what it stands on, and publish it."""
    load_id = load(lab, calls, **tables)
    kinds = ("unit_test", "test")
    left_out = [word for kind in kinds for word in ("--exclude-resource-type", kind)]
    lab.dbt("build", "--select", *SELECTED, *left_out, raw_load_id=load_id)
    lab.publish(load_id)


def rows(lab: Lab, table: str) -> list[dict[str, Any]]:
    with lab.head() as connection:
        found = connection.execute(f"select * from marts.main.{table} order by all")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def files(lab: Lab, table: str) -> set[str]:
    return {
        path
        for (path,) in lab.query(
            f"select data_file from ducklake_list_files('marts', '{table}', schema => 'main')"
        )
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    lab = Lab(tmp_path_factory.mktemp("advice"), now=NOW)
    calls = planted()
    everything = [*calls, *noise(), *odd()]
    accounts = sorted({each.row["account_id"] for each in everything})
    refresh(lab, everything, **references(accounts))
    return World(lab, calls, rows(lab, "rpt_insights_advice"), rows(lab, "fct_advice_event"))


def test_planted_savings_are_found_within_five_percent(world: World) -> None:
    wanted = expected(world.calls)
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in world.advice:
        if row["account_id"] in ("planted", "rated"):
            found[row["account_id"], row["agent_id"], row["kind"]] += row["saved_credits"]
    assert found.keys() == wanted.keys()
    for key, saving in wanted.items():
        assert float(found[key]) == pytest.approx(saving, rel=0.05), key
    assert all(
        float(row["saved_credits_month"]) == pytest.approx(float(row["saved_credits"]) * 30 / 28)
        for row in world.advice
    )


def test_where_credits_follow_from_is_told(world: World) -> None:
    assert world.one("sorter", "cheaper_model")["credit_basis"] == "own_log"
    assert world.one("sorter", "cheaper_model")["candidate_model"] == advice_lab.SONNET
    assert world.one("clerk", "cheaper_model")["credit_basis"] == "rate_card"
    assert world.one("bulk", "batching")["credit_basis"] == "list_price"
    assert world.one("poller", "repeated_shapes")["is_guess"]
    assert not world.one("asker", "repeated_requests")["is_guess"]


def test_each_event_is_in_one_advice_and_spares_no_more_than_it_cost(world: World) -> None:
    noisy = [row for row in world.events if row["account_id"].startswith("noise")]
    assert len({row["kind"] for row in noisy}) >= 3
    ((overlapping,),) = world.lab.query(
        "select count(*) from (select event_id from marts.main.int_advice_savings_replayed"
        " group by account_id, event_id having count(*) > 1)"
    )
    assert overlapping > 1_000
    keys = [(row["account_id"], row["source"], row["event_id"]) for row in world.events]
    assert len(set(keys)) == len(keys)
    assert all(0 < row["saved_credits"] <= row["credits"] for row in world.events)
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for row in world.events:
        sums[row["account_id"], row["advice_id"]].append(row["saved_credits"])
    told = {(row["account_id"], row["advice_id"]): row for row in world.advice}
    assert told.keys() == sums.keys()
    for key, savings in sums.items():
        assert (told[key]["events"], told[key]["saved_credits"]) == (len(savings), sum(savings))


def test_each_event_is_where_most_is_spared_of_what_is_told(world: World) -> None:
    best = {
        (account, event): saved
        for account, event, saved in world.lab.query(
            "select savings.account_id, savings.event_id, max(savings.saved_credits)"
            " from marts.main.int_advice_savings_replayed as savings"
            " inner join marts.main.fct_advice as advice using (account_id, agent_id, kind)"
            " where advice.kind = 'failures' or (advice.category = savings.category"
            " and advice.model = savings.model) group by all"
        )
    }
    for row in world.events:
        assert row["saved_credits"] == best[row["account_id"], row["event_id"]]


def test_nothing_is_advised_where_nothing_can_be_said(world: World) -> None:
    assert not [row for row in world.advice if row["agent_id"] in ("calm", "writer")]
    for account in ("zeros", "no tokens", "long ago"):
        assert world.of(account) == []
    # The same size sixty times is a guess at most; no model is known to be cheaper.
    assert [row["kind"] for row in world.of("unpriced")] == ["repeated_shapes"]


def test_one_day_is_not_taken_for_a_whole_month(world: World) -> None:
    (advice,) = world.of("one day")
    assert (advice["kind"], advice["days"]) == ("repeated_requests", 1)
    assert advice["saved_credits_month"] == Decimal("59") * 30 / 28 or float(
        advice["saved_credits_month"]
    ) == pytest.approx(59 * 30 / 28)


@pytest.fixture(scope="module")
def settled(world: World) -> tuple[World, dict[str, set[str]], dict[str, set[str]]]:
    """The files of advice after usage of today came in, and after usage of last week did."""
    tables = ("int_advice_events_marked", "int_advice_savings_replayed", "fct_advice")
    before = {table: files(world.lab, table) for table in tables}
    world.lab.now = datetime(2026, 11, 23, 12, 30)
    refresh(world.lab, [call("sorter", datetime(2026, 11, 23, 9), advice_lab.OPUS, 900, 90)])
    today = {table: files(world.lab, table) for table in tables}
    assert today == before
    refresh(world.lab, [call("sorter", datetime(2026, 11, 20, 9), advice_lab.OPUS, 900, 90)])
    return world, today, {table: files(world.lab, table) for table in tables}


def test_usage_of_today_leaves_advice_as_it_is_and_late_usage_renews_it(
    settled: tuple[World, dict[str, set[str]], dict[str, set[str]]],
) -> None:
    world, today, late = settled
    assert all(late[table] != today[table] for table in today)
    before = world.one("sorter", "cheaper_model")
    (after,) = [
        row
        for row in rows(world.lab, "rpt_insights_advice")
        if row["advice_id"] == before["advice_id"] and row["account_id"] == "planted"
    ]
    assert after["events"] == before["events"] + 1


@pytest.fixture(scope="module")
def spared(
    settled: tuple[World, dict[str, set[str]], dict[str, set[str]]],
) -> tuple[World, dict[str, float]]:
    """Advice that was accepted, and two weeks of usage after it."""
    world = settled[0]
    accepted = [
        world.one(*key)
        for key in (
            ("sorter", "cheaper_model"),
            ("asker", "repeated_requests"),
            ("flaky", "failures"),
            ("bulk", "batching"),
            ("clerk", "cheaper_model"),
        )
    ]
    kept = (
        *("account_id", "advice_id", "kind", "agent_id", "category", "model", "candidate_model"),
        *("baseline_units", "baseline_quantity", "saved_credits_month"),
    )
    decisions = [
        {
            "decision_id": number,
            "decision": "accepted",
            "recorded_at": datetime(2026, 11, 23, 13),
            **{name: row[name] for name in kept},
        }
        for number, row in enumerate(accepted, 1)
    ]
    withdrawn = {
        **decisions[3],
        "decision_id": 6,
        "decision": "withdrawn",
        "recorded_at": datetime(2026, 12, 4, 8),
    }
    world.lab.now = datetime(2026, 12, 8, 12)
    calls, saved = afterwards()
    refresh(world.lab, calls, advice_decision=[*decisions, withdrawn])
    return world, saved


def test_what_was_spared_is_measured_against_what_would_have_been(
    spared: tuple[World, dict[str, float]],
) -> None:
    world, saved = spared
    found: dict[str, float] = defaultdict(float)
    actual: dict[str, float] = defaultdict(float)
    agents = {row["advice_id"]: row["agent_id"] for row in world.advice}
    for row in rows(world.lab, "rpt_insights_advice_saving"):
        found[agents[row["advice_id"]]] += float(row["saved_credits"])
        actual[agents[row["advice_id"]]] += float(row["actual_credits"])
    # The clerk works under another name: what it spends now says nothing about its advice.
    assert found.keys() == saved.keys()
    for agent, credits in saved.items():
        assert found[agent] == pytest.approx(credits, rel=0.1, abs=0.05 * actual[agent]), agent


def test_the_weeks_begin_after_the_decision_and_end_with_its_withdrawal(
    spared: tuple[World, dict[str, float]],
) -> None:
    world, _ = spared
    weeks: dict[str, list[tuple[int, date, int]]] = defaultdict(list)
    agents = {row["advice_id"]: row["agent_id"] for row in world.advice}
    for row in rows(world.lab, "rpt_insights_advice_saving"):
        weeks[agents[row["advice_id"]]].append((row["week_number"], row["week_from"], row["days"]))
    assert weeks["sorter"] == [(1, date(2026, 11, 24), 7), (2, date(2026, 12, 1), 7)]
    assert weeks["bulk"] == [(1, date(2026, 11, 24), 7), (2, date(2026, 12, 1), 3)]


def test_a_late_event_is_measured_too(spared: tuple[World, dict[str, float]]) -> None:
    world, _ = spared
    before = rows(world.lab, "fct_advice_usage_daily")
    refresh(world.lab, [call("sorter", datetime(2026, 11, 26, 23), advice_lab.SONNET, 900, 90)])
    after = rows(world.lab, "fct_advice_usage_daily")
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [(row["decision_id"], row["usage_date_utc"]) for row in changed] == [
        (1, date(2026, 11, 26))
    ]


def test_the_data_tests_of_advice_hold(spared: tuple[World, dict[str, float]]) -> None:
    world, _ = spared
    result = world.lab.dbt(
        "test", "--select", "*advice*,test_type:data", "model_capability", "batch_price",
        full_checks=True,
    )  # fmt: skip
    assert len(result.result.results) > 8  # type: ignore[union-attr]
