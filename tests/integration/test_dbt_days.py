"""What a refresh rebuilds, and that nothing of what was corrected stays behind."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from filelock import FileLock

from tests.integration.dbt_lab import Lab
from warehouse.publication import reading_published
from warehouse.settings import ROOT

KEPT_BY_DAYS = ("fct_usage", "fct_usage_daily")
COMPARED = (
    "dim_account",
    "dim_agent",
    "dim_load",
    "dim_model",
    "fct_credit_balance_daily",
    "fct_credit_margin_daily",
    "fct_credit_posting",
    "fct_usage",
    "fct_usage_account_daily",
    "fct_usage_agent_daily",
    "fct_usage_daily",
    "fct_usage_log_daily",
    "fct_usage_monthly",
    "fct_usage_rating_difference",
    "fct_usage_source_daily",
    "fct_usage_unrated",
    "rpt_data_health_day",
    "rpt_overview_agent",
    "rpt_overview_agent_daily",
    "rpt_overview_category",
    "rpt_overview_daily",
    "rpt_overview_model",
    "rpt_overview_month",
    "rpt_usage_daily",
    "rpt_usage_event",
    "rpt_usage_event_detail",
)
ZONES = (
    "Africa/Casablanca",
    "America/Havana",
    "America/Los_Angeles",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Eucla",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
CLOCK_CHANGES = (
    "2011-10-29",  # St John's turns its clocks a minute after midnight
    "2011-12-29",
    "2011-12-30",  # Apia skips a date
    "2018-11-04",  # Sao Paulo skips a midnight
    "2026-03-08",
    "2026-03-28",
    "2026-03-29",
    "2026-04-04",
    "2026-04-05",
    "2026-09-06",
    "2026-10-04",
    "2026-10-25",
    "2026-11-01",  # Havana has two midnights
)
Dump = dict[str, list[tuple[Any, ...]]]
Files = dict[str, dict[str, set[str]]]


def dump(lab: Lab) -> Dump:
    """Every row of every mart, in order."""
    with lab.head() as connection:
        return {
            name: connection.execute(f"select * from marts.main.{name} order by all").fetchall()
            for name in COMPARED
        }


def files(lab: Lab, table: str) -> dict[str, set[str]]:
    """Data files of a table, by UTC day."""
    found: dict[str, set[str]] = {}
    for (path,) in lab.query(
        f"select data_file from ducklake_list_files('marts', '{table}', schema => 'main')"
    ):
        found.setdefault(path.split("usage_date_utc=")[1][:10], set()).add(path)
    return found


def event(name: str, day: str, **given: Any) -> dict[str, Any]:
    return {"event_id": name, "occurred_at": datetime.fromisoformat(day), **given}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A published lake: usage on a few days of 2026 and on days when clocks change."""
    lab = Lab(tmp_path_factory.mktemp("dbt"))
    start = datetime(2026, 10, 5)
    usage = [
        event(
            f"plain {hour}",
            (start + timedelta(hours=hour)).isoformat(),
            agent_id=f"scout {hour % 24}",
        )
        for hour in range(0, 9 * 24, 2)
    ]
    lab.refresh(
        account_term=[
            {},
            {"account_id": "moving"},
            *({"account_id": zone, "time_zone": zone} for zone in ZONES),
        ],
        rate=[{"category": "sql", "credits_per_unit": 2, "effective_from": datetime(2026, 10, 7)}],
        usage_event=[
            *usage,
            *(event(f"clock {day}", f"{day} 12:00") for day in CLOCK_CHANGES),
            event("late evening", "2026-10-10 23:30", account_id="moving", agent_id="owl"),
            event("alone", "2026-10-20 10:00", agent_id="ghost", model="phantom"),
            event("wrong day", "2026-10-21 10:00", agent_id="late", credits=5),
            event("too early", "2026-10-06 10:00", category="sql", model=None, credits=None),
            event("failed", "2026-10-07 11:00", category="sql", status="error", credits=None),
            event("rated", "2026-10-07 12:00", category="sql", credits=None),
        ],
    )
    return lab


@pytest.fixture(scope="module")
def corrected(lab: Lab) -> tuple[Lab, Files]:
    """The same lake after a day's only event was withdrawn and another event was moved."""
    before = {table: files(lab, table) for table in KEPT_BY_DAYS}
    lab.refresh(
        usage_event=[
            event(
                "alone",
                "2026-10-20 10:00",
                agent_id="ghost",
                model="phantom",
                revision=1,
                is_withdrawn=True,
            ),
            event("wrong day", "2026-10-08 10:00", agent_id="late", credits=5, revision=1),
        ],
        usage_supersession=[
            {"event_id": "alone", "usage_date_utc": date(2026, 10, 20)},
            {"event_id": "wrong day", "usage_date_utc": date(2026, 10, 21)},
        ],
    )
    return lab, before


def test_each_zone_cuts_its_days_where_icu_does(lab: Lab) -> None:
    """On every quarter of an hour; a clock that falls back over midnight does not reopen a day."""
    rows = lab.query(
        """
        with moment as (
            select cut.*,
                cast(usage_date_utc as timestamp) + (step - 96) * interval 15 minute as at_utc
            from marts.main.int_zone_days_cut as cut, range(2 * 96) as steps (step)
        ),
        dated as (
            select *,
                max(cast(timezone(time_zone, timezone('UTC', at_utc)) as date))
                    over (partition by time_zone, usage_date_utc order by at_utc) as icu_date,
                case when at_utc >= cut_at then last_date else first_date end as cut_date
            from moment
        )
        select time_zone, at_utc, icu_date, cut_date from dated
        where at_utc >= usage_date_utc and icu_date <> cut_date
        """
    )
    assert rows == []
    assert lab.query("select count(distinct time_zone) from marts.main.int_zone_days_cut") == [
        (len(ZONES) + 1,)
    ]


def test_usage_without_a_rate_is_held_and_failed_usage_costs_nothing(lab: Lab) -> None:
    assert lab.query(
        "select event_id, rating_status, credits, exposure_low_credits, exposure_high_credits"
        " from marts.main.fct_usage where category = 'sql' order by occurred_at"
    ) == [
        ("too early", "unrated", None, 2, 2),
        ("failed", "failed", 0, None, None),
        ("rated", "rated", 2, None, None),
    ]


def test_what_left_a_day_leaves_no_trace_in_any_mart(
    corrected: tuple[Lab, Files],
) -> None:
    lab, _ = corrected
    columns = lab.query(
        "select table_name, column_name from information_schema.columns"
        " where table_catalog = 'marts' and table_schema = 'main' and table_name not like 'int_%'"
        " and column_name in ('usage_date', 'usage_date_utc')"
    )
    assert len(columns) > 10
    gap_free = {"rpt_overview_daily", "rpt_data_health_day"}
    questions = [
        f"select '{table}' from marts.main.{table} where {column} in ('2026-10-20', '2026-10-21')"
        + (" and events > 0" if table in gap_free else "")
        for table, column in columns
    ]
    questions += [
        "select 'dim_agent' from marts.main.dim_agent where agent_id = 'ghost'",
        "select 'dim_model' from marts.main.dim_model where model = 'phantom'",
    ]
    assert lab.query(" union all ".join(questions)) == []
    assert lab.query(
        "select usage_date_utc, revision, credits from marts.main.fct_usage where agent_id = 'late'"
    ) == [(date(2026, 10, 8), 1, 5)]


def test_only_files_of_touched_days_are_rewritten(
    corrected: tuple[Lab, Files],
) -> None:
    lab, before = corrected
    touched = {str(day) for (day,) in lab.query("select * from marts.main.int_usage_touched_days")}
    assert touched == {"2026-10-08", "2026-10-20", "2026-10-21"}
    for table in KEPT_BY_DAYS:
        after = files(lab, table)
        kept = {day: paths for day, paths in before[table].items() if day not in touched}
        assert {day: paths for day, paths in after.items() if day not in touched} == kept
        assert not after["2026-10-08"] & before[table]["2026-10-08"]


def test_building_again_without_news_changes_nothing(
    corrected: tuple[Lab, Files],
) -> None:
    lab, _ = corrected
    before, files_before = dump(lab), {table: files(lab, table) for table in KEPT_BY_DAYS}
    lab.build()
    assert dump(lab) == before
    assert {table: files(lab, table) for table in KEPT_BY_DAYS} == files_before
    assert lab.query("select * from marts.main.int_usage_touched_days") == []


def test_changed_terms_and_rates_touch_the_days_that_they_alter(
    corrected: tuple[Lab, Files],
) -> None:
    lab, _ = corrected
    lab.refresh(
        account_term=[
            {
                "account_id": "moving",
                "time_zone": "Asia/Tokyo",
                "effective_from": date(2026, 10, 1),
            },
            {"name": "Acme Inc."},
        ],
        rate=[{"category": "sql", "credits_per_unit": 3}],
    )
    touched = {str(day) for (day,) in lab.query("select * from marts.main.int_usage_touched_days")}
    # The sql rate that began on the 7th still holds from there on.
    assert touched == {"2026-10-06", "2026-10-07", "2026-10-10"}
    assert lab.query("select usage_date from marts.main.fct_usage where account_id = 'moving'") == [
        (date(2026, 10, 11),)
    ]
    assert lab.query(
        "select event_id, rating_status, credits from marts.main.fct_usage"
        " where category = 'sql' and credits > 0 order by occurred_at"
    ) == [("too early", "rated", 3), ("rated", "rated", 2)]


def test_a_full_rebuild_with_a_window_keeps_every_day_and_equals_what_refreshes_made(
    corrected: tuple[Lab, Files],
) -> None:
    lab, _ = corrected
    before = dump(lab)
    lab.dbt(
        "build", "--full-refresh", "--exclude-resource-type", "unit_test",
        from_day="2026-10-06", to_day="2026-10-08", full_checks=True,
    )  # fmt: skip
    assert dump(lab) == before
    lab.build(from_day="2026-10-06", to_day="2026-10-08")
    assert dump(lab) == before
    assert lab.query("select * from marts.main.int_usage_touched_days order by 1") == [
        (date(2026, 10, 6),),
        (date(2026, 10, 7),),
    ]


def test_every_model_answers_at_the_published_snapshot(
    corrected: tuple[Lab, Files],
) -> None:
    """Views name their tables in full, so that a reader of a pinned lake finds them."""
    lab, _ = corrected
    lab.publish(lab.query("select max(load_id) from raw.main.load")[0][0])
    connection, _ = reading_published(lab.settings)
    try:
        for folder in ("marts", "reporting"):
            for file in sorted((ROOT / "dbt_project/models" / folder).glob("*.sql")):
                connection.execute(f"select * from {file.stem}").fetchall()
    finally:
        connection.close()


def test_every_table_has_exactly_the_columns_that_are_described(lab: Lab) -> None:
    found: dict[str, list[str]] = {}
    for table, column in lab.query(
        "select table_name, column_name from information_schema.columns"
        " where table_catalog = 'marts' and table_schema = 'main' order by ordinal_position"
    ):
        found.setdefault(table, []).append(column)
    models = [
        entry
        for file in (ROOT / "dbt_project/models").rglob("*.yml")
        for entry in yaml.safe_load(file.read_text()).get("models", [])
    ]
    described = {model["name"]: [column["name"] for column in model["columns"]] for model in models}
    seeds = {file.stem for file in (ROOT / "dbt_project/seeds").glob("*.csv")}
    assert {name: sorted(columns) for name, columns in found.items() if name not in seeds} == {
        name: sorted(columns) for name, columns in described.items() if name in found
    }


def test_the_money_rules_hold(lab: Lab) -> None:
    result = lab.dbt("test", "--select", "test_type:unit")
    assert result.result is not None
    assert len(result.result.results) > 20  # type: ignore[union-attr]


def test_the_project_is_read_without_any_lake(tmp_path: Path) -> None:
    Lab(tmp_path).dbt("parse", "--no-partial-parse")
    assert not (tmp_path / "marts.sqlite").exists()


def test_neither_the_home_nor_what_is_asked_for_makes_dbt_parse_the_project_anew(
    tmp_path: Path,
) -> None:
    target = ("--target-path", str(tmp_path / "target"))
    Lab(tmp_path / "one").dbt("parse", *target, raw_load_id=1)
    Lab(tmp_path / "other").dbt(
        "parse", *target, raw_load_id=2, from_day="2026-01-01", full_checks=True
    )
    projects = json.loads((tmp_path / "target/perf_info.json").read_text())["projects"]
    assert sum(project["parsed_path_count"] for project in projects) == 0


def test_dbt_lets_go_of_the_lakes_when_it_is_done(lab: Lab) -> None:
    lab.dbt("run", "--select", "int_refresh_bounded")
    lock = FileLock(lab.home / "locks" / "marts.lock", thread_local=False, is_singleton=True)
    assert not lock.is_locked
    assert DuckDBConnectionManager._ENV is None
