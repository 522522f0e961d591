"""Planted causes are found once and named; bad input raises no alarm; marks are respected."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner

from billing.accounts import add_account
from billing.exports import StoreExport
from billing.incidents import incident_on, list_incidents, mark_days
from billing.store import open_store
from billing.usage_sums import open_lake
from ingest.operations import sync_operations
from ingest.tables import ensure_tables
from orchestration.cli import meterhouse
from tests.integration.dbt_lab import Lab
from warehouse.errors import MeterhouseError
from warehouse.lake import writing

MONDAY = date(2026, 3, 30)
"""From this day on something is different."""

ZONES = {"dateline": "Pacific/Kiritimati", "summer": "Europe/Berlin"}
ACCOUNTS = (
    *("price", "newcomer", "storm", "switch", "giant", "dateline"),
    *("renamed", "gap", "short", "zero", "summer", "calm"),
)
WILD = ("wild", "scaled")
"""Accounts of random usage, the second three times the first."""

# Ten weeks of a busy and a quiet agent at a few per cent of noise, and what each account does else.
_EVENTS = """
insert into raw.main.usage_event by name
with day as (
    select unnest(range(timestamp '2026-01-26', timestamp '2026-04-06', interval 1 day))
        as midnight
), call as (
    select account_id, agent_id, 'small' as model, midnight, number, 1.0 as price, 'ok' as status
    from (select unnest($accounts) as account_id)
    cross join (values ('busy', 9), ('quiet', 4)) as agent (agent_id, calls)
    cross join day
    cross join range(12) as numbers (number)
    where number < calls
), changed as (
    select
        account_id,
        case when account_id = 'renamed' and agent_id = 'busy' and midnight >= $monday
            then 'busy-2' else agent_id end as agent_id,
        case when account_id = 'switch' and agent_id = 'busy' and midnight >= $monday
            then 'large' else model end as model,
        midnight, number,
        case when account_id = 'price' and midnight >= $monday then 2.0
            when account_id = 'switch' and agent_id = 'busy' and midnight >= $monday then 4.0
            when account_id = 'giant' and midnight = timestamp '2026-03-12' then 1000.0
            when account_id = 'zero' then 0.0
            else price end as price,
        status
    from call
    where not (account_id = 'gap' and midnight >= timestamp '2026-02-18'
            and midnight < timestamp '2026-03-18')
        and not (account_id = 'short' and midnight <> $monday)
    union all
    select
        case when scale = 1 then 'wild' else 'scaled' end,
        'agent-' || hash(midnight, number, 1) % 4,
        'model-' || hash(midnight, number, 2) % 3, midnight, number,
        scale * round(exp(hash(midnight, number, 3) % 1000 / 250.0), 3),
        case when hash(midnight, number, 4) % 5 = 0 then 'error' else 'ok' end
    from day
    cross join (values (1), (3)) as scales (scale)
    cross join range(60) as numbers (number)
    where number < case when hash(midnight) % 9 = 0 then 60 else 6 + hash(midnight, 5) % 8 end
    union all
    select 'newcomer', 'helper', 'small', midnight, number, 1.0, 'ok'
    from day cross join range(30) as numbers (number) where midnight >= $monday
    union all
    select 'storm', 'busy', 'small', midnight, 100 + number, 1.0,
        case when number % 2 = 0 then 'error' else 'ok' end
    from day cross join range(60) as numbers (number) where midnight = $monday + interval 1 day
    union all
    -- half past ten on Monday in UTC, half past midnight on Tuesday there
    select 'dateline', 'busy', 'small', timestamp '2026-03-30 02:30', 100 + number, 1.0, 'ok'
    from range(60) as numbers (number)
)
select 1 as load_id, row_number() over () as line_number, 'meterhouse' as source,
    concat_ws('/', account_id, agent_id, midnight, number) as event_id, 0 as revision,
    false as is_withdrawn, hash(account_id, agent_id, midnight, number) as identity_hash,
    account_id, agent_id, 'llm' as category, model, midnight + interval 8 hour as occurred_at,
    cast(midnight + interval 8 hour as date) as usage_date_utc, 1000 as execution_ms,
    cast(round(price * case when account_id in ('wild', 'scaled') then 1
        else 0.97 + 0.06 * (hash(account_id, midnight, number, agent_id) % 1000) / 1000.0 end, 6)
        as decimal(18, 9)) as credits,
    1000 as input_tokens, 100 as output_tokens, status
from changed
"""

_TABLES = ("fct_usage_anomaly", "fct_incident_day", "fct_incident")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lake with the planted causes, built and published; tests that change it come last."""
    lab = Lab(tmp_path_factory.mktemp("incidents"), now=datetime(2026, 4, 6, 12))
    with open_store(lab.settings) as store, writing(lab.settings, "raw") as connection:
        for name in (*ACCOUNTS, *WILD):
            add_account(store, name, time_zone=ZONES.get(name, "UTC"))
        ensure_tables(connection)
        connection.execute(_EVENTS, {"accounts": list(ACCOUNTS), "monday": MONDAY})
        sync_operations(connection, StoreExport(store))
    build(lab)
    return lab


def build(lab: Lab) -> None:
    """Build what incidents need, with its tests, as a refresh does, and publish it."""
    with writing(lab.settings, "raw") as connection:
        row = connection.execute("select max(load_id) from raw.main.load").fetchone()
    assert row is not None
    lab.dbt(
        "build", "--exclude-resource-type", "unit_test", "--indirect-selection", "cautious",
        "--select", "+fct_incident", "rpt_overview_daily", "rpt_insights_incident",
        raw_load_id=row[0],
    )  # fmt: skip
    lab.publish(row[0])


def found_of(lab: Lab, account_id: str) -> list[tuple[object, ...]]:
    with open_lake(lab.settings) as lake:
        return [
            (each.first_date, each.cause, each.driver, each.driver_id)
            for each in list_incidents(lake, account_id)
        ]


@pytest.mark.parametrize(
    ("account_id", "first_date", "cause", "driver", "driver_id"),
    [
        ("price", MONDAY, "price", "model", "small"),
        ("newcomer", MONDAY, "new_agent", "agent", "helper"),
        ("storm", date(2026, 3, 31), "errors", "agent", "busy"),
        ("switch", MONDAY, "mix", "model", "large"),
        ("giant", date(2026, 3, 12), "price", "model", "small"),
        ("dateline", date(2026, 3, 31), "volume", "agent", "busy"),
    ],
)
def test_a_planted_cause_is_found_once_and_named(
    lab: Lab, account_id: str, first_date: date, cause: str, driver: str, driver_id: str
) -> None:
    assert found_of(lab, account_id) == [(first_date, cause, driver, driver_id)]


@pytest.mark.parametrize("account_id", ["renamed", "gap", "short", "zero", "summer", "calm"])
def test_nothing_is_made_of_what_is_no_rise(lab: Lab, account_id: str) -> None:
    assert found_of(lab, account_id) == []


def test_the_parts_of_every_incident_add_up_to_its_excess(lab: Lab) -> None:
    with open_lake(lab.settings) as lake:
        for each in list_incidents(lake):
            parts = (
                each.volume_credits + each.size_credits + each.price_credits
                + each.mix_credits + each.new_agent_credits + each.error_credits
            )  # fmt: skip
            assert parts == each.excess_credits == each.credits - each.expected_credits > 0


def test_three_times_the_usage_has_the_same_incidents_three_times_as_large(lab: Lab) -> None:
    with open_lake(lab.settings) as lake:
        wild, scaled = (list_incidents(lake, name) for name in WILD)
    assert wild
    assert [each.first_date for each in wild] == [each.first_date for each in scaled]
    assert [each.cause for each in wild] == [each.cause for each in scaled]
    for one, three in zip(wild, scaled, strict=True):
        for part in ("excess_credits", "mix_credits", "error_credits", "volume_credits"):
            assert float(getattr(three, part)) == pytest.approx(
                3 * float(getattr(one, part)), abs=1e-6
            )


def test_the_overview_marks_the_days_that_the_account_was_unusual(lab: Lab) -> None:
    marked = lab.query(
        "select account_id, usage_date from marts.main.rpt_overview_daily"
        " where credits > high_credits order by all"
    )
    assert marked == lab.query(
        "select account_id, usage_date from marts.main.fct_usage_anomaly"
        " where scope = 'account' order by all"
    )
    assert ("storm", date(2026, 3, 31)) in marked


def test_the_command_line_lists_marks_and_takes_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(lab.home))

    def said(*arguments: str) -> Any:
        done = CliRunner().invoke(meterhouse, ["incidents", *arguments, "--json"])
        if done.exception:
            raise done.exception
        return json.loads(done.stdout)

    (listed,) = said("list", "storm")
    assert listed["cause"] == "errors" and listed["mark"] is None
    assert sum(map(Decimal, listed["parts"].values())) == Decimal(listed["excess_credits"])
    assert said("expect", "storm", "2026-03-31", "--reason", "drill")["is_expected"]
    assert said("list", "storm")[0]["mark"]["reason"] == "drill"
    with pytest.raises(MeterhouseError, match="is expected already"):
        said("expect", "storm", "2026-03-31", "--reason", "again")
    assert not said("unexpect", "storm", "2026-03-31", "--reason", "it was not")["is_expected"]
    with pytest.raises(MeterhouseError, match="has no incident on 2026-03-01"):
        said("expect", "storm", "2026-03-01", "--reason", "x")
    with pytest.raises(MeterhouseError, match="is no day"):
        said("expect", "storm", "soon", "--reason", "x")


def test_a_marked_incident_is_expected_and_as_much_is_usual_after_it(lab: Lab) -> None:
    with open_store(lab.settings) as store, open_lake(lab.settings) as lake:
        incident = incident_on(lake, "giant", date(2026, 3, 12))
        mark_days(
            store, "giant", incident.first_date, incident.last_date,
            is_expected=True, reason="migration",
        )  # fmt: skip
        with writing(lab.settings, "raw") as connection:
            sync_operations(connection, StoreExport(store))
    lab.load(
        usage_event=[
            {"account_id": name, "agent_id": "busy", "model": "small", "event_id": f"late {name}",
             "credits": 400, "occurred_at": datetime(2026, 4, 3, 9)}
            for name in ("giant", "calm")
        ]
    )  # fmt: skip
    build(lab)
    assert [(day, cause) for day, cause, *_ in found_of(lab, "giant")] == [
        (date(2026, 3, 12), "price")
    ]
    with open_lake(lab.settings) as lake:
        assert incident_on(lake, "giant", date(2026, 3, 12)).expected_reason == "migration"
        late = incident_on(lake, "calm", date(2026, 4, 3))
    assert late.excess_credits > Decimal(390)
    assert lab.query(
        "select is_spike, is_expected from marts.main.rpt_overview_daily"
        " where account_id = 'giant' and usage_date = '2026-03-12'"
    ) == [(False, True)]


def test_what_touched_months_redo_is_what_all_months_give(lab: Lab) -> None:
    kept = {table: lab.query(f"select * from marts.main.{table} order by all") for table in _TABLES}
    with writing(lab.settings, "marts") as connection:
        for table in _TABLES:
            connection.execute(f"drop table marts.main.{table}")
    lab.dbt("run", "--select", *_TABLES)
    for table in _TABLES:
        assert lab.query(f"select * from marts.main.{table} order by all") == kept[table], table
