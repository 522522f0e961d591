"""Each check passes on good lakes, and fails alone when its own rule is broken."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date

import pytest
from small_lake import RAW_LOAD_ID, build_published, settings_at

from expectations.catalogue import CHECKS
from expectations.runner import PreparedRunner
from expectations.tables import statements
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection, attach, open_engine, writing
from warehouse.publication import CheckResult, Publication
from warehouse.settings import ROOT, Settings

pytestmark = pytest.mark.filterwarnings(
    # Great Expectations brings along pyparsing, which imports what Python has deprecated.
    "ignore:module 'sre_(constants|parse)' is deprecated:DeprecationWarning",
)

DAYS = (date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4))

RAW = "raw.main.usage_event"
LOAD = "raw.main.load"
FACT = "marts.main.fct_usage"
DAILY = "marts.main.fct_usage_daily"
LEDGER = "marts.main.fct_credit_ledger"
LOT = "marts.main.fct_credit_lot"
BLUE = "account_id = 'blue'"
RATED = f"{BLUE} and status = 'ok'"
OLD_E5 = "event_id = 'e5' and revision = 0"

BREAKS: dict[str, str] = {
    "raw_revisions_are_unique": f"""
        insert into {RAW} select * from {RAW} where {OLD_E5};
        update {LOAD} set rows_read = 10, rows_loaded = 8 where load_id = 2""",
    "raw_events_are_current_once": f"""
        update {RAW} set event_id = 'e2', revision = 1 where event_id = 'e7'""",
    "raw_required_fields_are_filled": f"update {RAW} set agent_id = ' ' where event_id = 'e1'",
    "raw_categories_are_known": f"update {RAW} set category = 'poetry' where event_id = 'e1'",
    "raw_statuses_are_known": f"update {RAW} set status = 'great' where event_id = 'e1'",
    "raw_times_are_plausible": f"""
        update {LOAD} set finished_at = timestamp '2026-11-01 10:00' where load_id = 2""",
    "raw_days_are_the_days_of_the_events": f"""
        update {RAW} set usage_date_utc = date '2026-11-02' where is_withdrawn""",
    "raw_credits_are_not_negative": f"update {RAW} set credits = -1 where {OLD_E5}",
    "raw_quantities_are_not_negative": f"update {RAW} set output_tokens = -1 where {OLD_E5}",
    "raw_events_belong_to_a_load": f"""
        update {RAW} set load_id = 0 where {OLD_E5};
        update {LOAD} set rows_loaded = 6, rows_duplicate = 2 where load_id = 2""",
    "raw_accounts_are_declared": f"delete from raw.main.account_term where {BLUE}",
    "load_ids_are_unique": f"insert into {LOAD} select * from {LOAD} where load_id = 3",
    "load_rows_add_up": f"update {LOAD} set rows_read = 99 where load_id = 3",
    "loaded_rows_are_events": f"""
        update {LOAD} set rows_loaded = 2, rows_duplicate = 1 where load_id = 3""",
    "rejected_rows_are_in_quarantine": "delete from raw.main.usage_quarantine",
    "fact_events_are_unique": f"update {FACT} set event_id = 'e2' where event_id = 'e7'",
    "fact_required_fields_are_filled": f"update {FACT} set model = '' where event_id = 'e2'",
    "fact_categories_are_known": f"update {FACT} set category = 'poetry' where event_id = 'e1'",
    "fact_statuses_are_known": f"update {FACT} set status = 'great' where event_id = 'e4'",
    "fact_rating_statuses_are_known": f"""
        update {FACT} set rating_status = 'guessed' where event_id = 'e1'""",
    "fact_provider_cost_statuses_are_known": f"""
        update {FACT} set provider_cost_status = 'guessed' where event_id = 'e1'""",
    "fact_credits_are_not_negative": f"""
        update {FACT} set credits = -1, card_credits = -1 where event_id = 'e3';
        update {DAILY} set credits = credits - 5, card_credits = card_credits - 5 where {RATED}""",
    "fact_quantities_are_not_negative": f"""
        update {FACT} set execution_ms = -1 where event_id = 'e3';
        update {DAILY} set execution_ms = execution_ms - 101 where {RATED}""",
    "fact_credits_follow_their_rating": f"""
        update {FACT} set rating_status = 'logged' where event_id = 'e3'""",
    "fact_exposure_is_of_unrated_usage": f"""
        update {FACT} set exposure_low_credits = 1 where event_id = 'e1';
        update {DAILY} set exposure_low_credits = 1
            where category = 'llm' and account_id = 'acme' and events = 1
            and usage_date_utc = date '2026-11-02'""",
    "fact_provider_cost_is_of_priced_usage": f"""
        update {FACT} set provider_cost_status = 'no_price' where event_id = 'e1'""",
    "fact_days_are_the_days_of_the_events": f"""
        update {FACT} set usage_date = date '2026-11-09' where event_id = 'e1'""",
    "fact_batches_are_pinned": f"update {FACT} set load_id = 4 where event_id = 'e1'",
    "daily_rows_are_unique": f"""
        insert into {DAILY}
        select * replace (1 as events, 0 as failed_events, 0 as credits, 0 as logged_credits,
            0 as card_credits, 0 as input_tokens, 0 as output_tokens, 0 as execution_ms,
            0 as provider_cost_usd)
        from {DAILY} where {RATED};
        update {DAILY} set events = 1 where {RATED} and events = 2""",
    "daily_required_fields_are_filled": f"update {DAILY} set agent_id = '' where {RATED}",
    "daily_categories_are_known": f"update {DAILY} set category = 'poetry' where {RATED}",
    "daily_counts_are_plausible": f"update {DAILY} set unpriced_events = -1 where {RATED}",
    "daily_credits_are_not_negative": f"""
        update {DAILY} set credits = if(category = 'sql', -1, 2.5)
            where account_id = 'acme' and usage_date_utc = date '2026-11-02'""",
    "daily_quantities_are_not_negative": f"""
        update {DAILY} set execution_ms = if(category = 'sql', -1, 301)
            where account_id = 'acme' and usage_date_utc = date '2026-11-02'""",
    "daily_times_lie_in_their_day": f"""
        update {DAILY} set last_occurred_at = timestamp '2026-11-09 00:00' where {RATED}""",
    "raw_events_are_facts": f"""
        delete from {FACT} where event_id = 'e7';
        update {DAILY} set events = events - 1, execution_ms = execution_ms - 100
            where category = 'sql'""",
    "raw_credits_are_facts": f"""
        update {FACT} set credits = credits + 0.000000001,
            logged_credits = logged_credits + 0.000000001 where event_id = 'e8';
        update {DAILY} set credits = credits + 0.000000001,
            logged_credits = logged_credits + 0.000000001 where {RATED}""",
    "raw_tokens_are_facts": f"""
        update {FACT} set output_tokens = output_tokens + 1 where event_id = 'e8';
        update {DAILY} set output_tokens = output_tokens + 1 where {RATED}""",
    "fact_events_are_daily_sums": f"update {DAILY} set events = events + 1 where {RATED}",
    "fact_credits_are_daily_sums": f"""
        update {DAILY} set credits = credits + 0.000000001 where {RATED}""",
    "fact_tokens_are_daily_sums": f"update {DAILY} set input_tokens = 0 where {RATED}",
    "fact_costs_are_daily_sums": f"""
        update {DAILY} set provider_cost_usd = provider_cost_usd + 0.000000000001 where {RATED}""",
    "sources_are_fresh": f"""
        update {LOAD} set finished_at = timestamp '2026-11-09 00:00' where load_id = 3""",
    "sources_have_no_missing_days": f"""
        update {RAW} set occurred_at = timestamp '2026-11-04 10:00',
            usage_date_utc = date '2026-11-04' where event_id = 'e5' and revision = 1;
        update {FACT} set occurred_at = timestamp '2026-11-04 10:00',
            usage_date_utc = date '2026-11-04', usage_date = date '2026-11-04'
            where event_id = 'e5';
        update {DAILY} set usage_date_utc = date '2026-11-04', usage_date = date '2026-11-04',
            first_occurred_at = timestamp '2026-11-04 10:00',
            last_occurred_at = timestamp '2026-11-04 10:00'
            where usage_date_utc = date '2026-11-03'""",
    "rejected_share_is_not_rising": f"""
        update {LOAD} set finished_at = timestamp '2026-11-02 10:30' where load_id = 2;
        update {LOAD} set rows_read = 5, rows_rejected = 2 where load_id = 3;
        insert into raw.main.usage_quarantine
        select held.* replace (3 as load_id, number as line_number)
        from raw.main.usage_quarantine as held, (values (4), (5)) as line (number)""",
    "daily_totals_are_usual": f"""
        insert into {DAILY}
        select daily.* replace (usage_date_utc - cast(7 * week as integer) as usage_date_utc)
        from {DAILY} as daily, range(1, 9) as earlier (week)
        where usage_date_utc = date '2026-11-02' and account_id = 'acme'""",
    "usage_is_rated": f"""
        update {FACT} set rating_status = 'unrated', credits = null, card_credits = null,
            exposure_low_credits = 0, exposure_high_credits = 9 where event_id = 'e3';
        update {DAILY} set credits = credits - 4, card_credits = 0, unrated_events = 1,
            exposure_high_credits = 9 where {RATED}""",
    "models_are_priced": f"""
        update {DAILY} set unpriced_events = 1, provider_cost_usd = provider_cost_usd - (
            select provider_cost_usd from {FACT} where event_id = 'e8') where {RATED};
        update {FACT} set provider_cost_status = 'unknown_model', provider_cost_usd = null
            where event_id = 'e8'""",
    "rated_usage_is_burnt": f"""
        update {LEDGER} set credits = credits + sign(credits) * 0.000000001 where {BLUE}""",
    "ledger_entries_sum_to_zero": f"""
        update {LEDGER} set amount_minor = 499 where ledger_account = 'cash'""",
    "lots_hold_what_the_ledger_says": f"update {LOT} set deferred_minor = 499",
    "lots_are_conserved": f"update {LOT} set consumed_credits = 0.000000001",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_at(tmp_path_factory.mktemp("expectations"))


@pytest.fixture(scope="module")
def published(settings: Settings) -> Publication:
    return build_published(settings)


@pytest.fixture
def copy(settings: Settings, published: Publication) -> Iterator[Connection]:
    """Both lakes copied into memory, where they can be broken at no cost."""
    connection = open_engine(settings)
    for lake, snapshot in (("raw", published.raw_snapshot), ("marts", published.marts_snapshot)):
        attach(
            connection,
            settings,
            lake,  # type: ignore[arg-type]
            alias="lake",
            snapshot=snapshot,
        )
        connection.execute(f"attach ':memory:' as {lake}")
        tables = connection.execute(
            "select table_name from duckdb_tables()"
            " where database_name = 'lake' and schema_name = 'main'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"create table {lake}.main.{table} as from lake.main.{table}")
        connection.execute("detach lake")
    yield connection
    connection.close()


def failing(connection: Connection) -> dict[str, CheckResult]:
    """The checks that fail on the copy, by name."""
    from expectations.validation import validate

    for statement in statements(
        raw_load_id=RAW_LOAD_ID,
        days=DAYS,
        newest_day=DAYS[-1],
        after_load_id=0,
        accounts=("acme", "blue"),
    ):
        connection.execute(statement)
    results = validate(connection, CHECKS)
    assert [result.check_name for result in results] == [check.name for check in CHECKS]
    return {result.check_name: result for result in results if not result.is_passed}


def test_good_lakes_pass_every_check(copy: Connection) -> None:
    assert failing(copy) == {}


def test_every_check_has_a_way_to_be_broken_here() -> None:
    assert set(BREAKS) == {check.name for check in CHECKS}


GROUPS = 12
"""Breaks of different layers are tried together, which makes the test four times as fast."""


@pytest.mark.parametrize("group", range(GROUPS))
def test_breaking_a_rule_fails_its_check_and_no_other(copy: Connection, group: int) -> None:
    names = list(BREAKS)[group::GROUPS]
    for name in names:
        for statement in BREAKS[name].split(";"):
            copy.execute(statement)
    failed = failing(copy)
    assert list(failed) == names, failed
    for result in failed.values():
        assert result.failing_rows
        assert result.message.startswith(f"{result.failing_rows} row")


def test_a_check_that_cannot_be_evaluated_fails_and_says_why(copy: Connection) -> None:
    copy.execute(f"alter table {FACT} drop column agent_id")
    failed = failing(copy)
    assert "could not be evaluated" in failed["fact_required_fields_are_filled"].message
    assert failed["fact_required_fields_are_filled"].failing_rows is None


def test_the_child_checks_the_pinned_state_and_nothing_newer(
    settings: Settings, published: Publication
) -> None:
    with PreparedRunner(settings) as runner:
        with writing(settings, "marts") as connection:
            connection.execute(f"update {DAILY} set events = 0")
        results = runner.run(
            marts_snapshot=published.marts_snapshot,
            raw_snapshot=published.raw_snapshot,
            raw_load_id=published.raw_load_id,
        )
    assert [result.check_name for result in results] == [check.name for check in CHECKS]
    assert [result for result in results if not result.is_passed] == []


def test_the_child_prints_json_alone_on_standard_output(
    settings: Settings, published: Publication
) -> None:
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "expectations",
            f"--marts-snapshot={published.marts_snapshot}",
            f"--raw-snapshot={published.raw_snapshot}",
            f"--raw-load-id={published.raw_load_id}",
            "--days=2026-11-02",
        ],
        cwd=ROOT,
        env=settings.environment(),
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    results = json.loads(child.stdout)
    assert set(results[0]) == {
        "suite",
        "check_name",
        "severity",
        "is_passed",
        "failing_rows",
        "message",
    }


def test_checks_that_cannot_run_raise_instead_of_passing(
    settings: Settings, published: Publication
) -> None:
    with PreparedRunner(settings) as runner:
        with pytest.raises(MeterhouseError, match="could not run.*snapshot 999"):
            runner.run(marts_snapshot=999, raw_snapshot=published.raw_snapshot, raw_load_id=3)


def test_a_runner_that_was_never_asked_ends_its_child(settings: Settings) -> None:
    with PreparedRunner(settings) as runner:
        child = runner._child
        assert child is not None
        assert child.poll() is None
    assert child.poll() is not None


def test_orchestration_learns_the_checks_without_great_expectations() -> None:
    source = (
        "import sys, expectations.catalogue, expectations.runner;"
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source], cwd=ROOT).returncode == 0
