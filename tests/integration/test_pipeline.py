"""From files in the landing folder to a published snapshot, through the Dagster jobs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from billing.accounts import add_account
from billing.store import open_store
from ingest.sample import (
    UNDECLARED_ACCOUNT,
    SampleManifest,
    SampleSpec,
    sample_accounts,
    write_sample,
)
from orchestration.cli import meterhouse
from orchestration.commands.sample import declare
from orchestration.loading import load_files, load_landing
from orchestration.refresh_job import run_refresh
from tests.integration.loading_lab import event, lines
from warehouse.errors import MeterhouseError
from warehouse.lake import reading_head, writing
from warehouse.publication import read_pointer, reading_published
from warehouse.settings import Settings

SPEC = SampleSpec(seed=3, days=40, events=3_000, until=datetime(2026, 11, 20, 15, 30, tzinfo=UTC))
MARTS = ("fct_usage", "fct_usage_daily", "fct_usage_source_daily", "fct_usage_rating_difference")


@dataclass(frozen=True)
class Pipeline:
    """A home with sample usage that was loaded and refreshed once."""

    settings: Settings
    manifest: SampleManifest

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query at the published snapshot."""
        connection, _ = reading_published(self.settings)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def load(self, *events: dict[str, Any], name: str) -> None:
        """Load events of the canonical log."""
        file = self.settings.home / name
        file.write_bytes(lines(*events))
        assert load_files(self.settings, "meterhouse", [file]).usage.loaded == len(events)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), memory="1GB")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("METERHOUSE_HOME", str(settings.home))
        environment.setenv("METERHOUSE_MEMORY", "1GB")
        declare(settings, sample_accounts(SPEC))
        manifest = write_sample(SPEC, settings.landing_folder / "meterhouse")
        load_landing(settings)
        run_refresh(settings)
        yield Pipeline(settings, manifest)


def test_what_the_log_says_is_published_to_the_last_digit(pipeline: Pipeline) -> None:
    assert dict(
        pipeline.ask("select account_id, sum(logged_credits) from fct_usage_daily group by all")
    ) == {account: Decimal(sum_) for account, sum_ in pipeline.manifest.logged_credits.items()}
    assert pipeline.ask("select sum(events) from fct_usage_daily") == [
        (sum(pipeline.manifest.events.values()),)
    ]


def test_usage_without_a_price_is_held_back_and_reported(pipeline: Pipeline) -> None:
    assert pipeline.ask("select sum(unrated_events) from fct_usage_unrated") == [
        (pipeline.manifest.unrated_events,)
    ]
    assert pipeline.ask(
        "select count(*) from fct_usage where (credits is null) <> (rating_status = 'unrated')"
    ) == [(0,)]


def test_the_command_line_asks_the_published_snapshot(pipeline: Pipeline) -> None:
    query = "select category, sum(credits) as credits from fct_usage_daily group by 1 order by 1"
    printed = CliRunner().invoke(meterhouse, ["sql", query, "--format", "json"])
    assert json.loads(printed.stdout) == [
        {"category": category, "credits": str(credits)} for category, credits in pipeline.ask(query)
    ]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("delete from fct_usage", "only reads"),
        ("attach '{home}/marts.sqlite' as marts_too", "only reads"),
        ("select * from read_csv('{home}/sample.json')", "file system operations are disabled"),
    ],
)
def test_the_command_line_reads_the_lakes_and_nothing_else(
    pipeline: Pipeline, query: str, why: str
) -> None:
    asked = query.format(home=pipeline.settings.home)
    refused = CliRunner().invoke(meterhouse, ["sql", asked])
    assert isinstance(refused.exception, MeterhouseError)
    assert why in str(refused.exception)


def test_a_table_is_printed_whole_however_wide(pipeline: Pipeline) -> None:
    printed = CliRunner().invoke(
        meterhouse, ["sql", "select repeat('long ', 40) as text, '[bold]:bug:' as last"]
    )
    assert "long " * 40 in printed.stdout
    assert "[bold]:bug:" in printed.stdout


def test_a_refresh_with_nothing_new_rebuilds_no_day_and_passes(pipeline: Pipeline) -> None:
    assert run_refresh(pipeline.settings).touched_days == 0


def test_the_status_names_what_is_published_and_what_was_rejected(pipeline: Pipeline) -> None:
    status = json.loads(CliRunner().invoke(meterhouse, ["status", "--json"]).stdout)
    pointer = read_pointer(pipeline.settings)
    assert pointer is not None
    assert status["published_snapshot"] == pointer.marts_snapshot
    assert status["rejected"] == pipeline.manifest.rejected


def test_the_lake_the_store_and_the_pointer_agree(pipeline: Pipeline) -> None:
    found = CliRunner().invoke(meterhouse, ["doctor", "--json"])
    problems = [f for f in json.loads(found.stdout) if f["verdict"] == "problem"]
    assert (found.exit_code, problems) == (0, [])


def test_moved_and_withdrawn_events_leave_no_trace_in_their_old_day(pipeline: Pipeline) -> None:
    known = {"account_id": pipeline.manifest.usage[0].account_id, "agent_id": "only-here"}
    old, new = "2025-06-01", "2025-08-01"
    pipeline.load(
        event("moved", **known, occurred_at=f"{old}T10:00:00Z"),
        event("gone", **known, occurred_at=f"{old}T11:00:00Z"),
        name="first.ndjson",
    )
    run_refresh(pipeline.settings)
    assert pipeline.ask(
        f"select sum(events) from fct_usage_daily where usage_date_utc = '{old}'"
    ) == [(2,)]
    pipeline.load(
        event("moved", **known, occurred_at=f"{new}T10:00:00Z", revision=1),
        event("gone", **known, occurred_at=f"{old}T11:00:00Z", revision=1, withdrawn=True),
        name="second.ndjson",
    )
    assert run_refresh(pipeline.settings).touched_days == 2
    for mart in MARTS:
        assert pipeline.ask(f"select count(*) from {mart} where usage_date_utc = '{old}'") == [(0,)]
    assert pipeline.ask(
        f"select event_id, revision from fct_usage where usage_date_utc = '{new}'"
    ) == [("moved", 1)]


def test_a_refresh_that_failed_its_checks_is_not_published_and_the_next_makes_it_good(
    pipeline: Pipeline,
) -> None:
    account = pipeline.manifest.usage[0].account_id
    day = "2025-07-01"
    pipeline.load(
        event("late", account_id=account, occurred_at=f"{day}T10:00:00Z"), name="l.ndjson"
    )
    before = read_pointer(pipeline.settings)
    spoil = "update raw.main.usage_event set credits = {} where event_id = 'late'"
    with writing(pipeline.settings, "raw") as connection:
        connection.execute(spoil.format("-1"))
    failed = CliRunner().invoke(meterhouse, ["refresh"])
    assert isinstance(failed.exception, MeterhouseError)
    assert "not published, because these checks failed" in str(failed.exception)
    assert read_pointer(pipeline.settings) == before
    assert pipeline.ask(f"select * from fct_usage where usage_date_utc = '{day}'") == []
    status = json.loads(CliRunner().invoke(meterhouse, ["status", "--json"]).stdout)
    assert status["failing_checks"]

    with writing(pipeline.settings, "raw") as connection:
        connection.execute(spoil.format("1.5"))
    mended = CliRunner().invoke(meterhouse, ["refresh", "--json"])
    assert mended.exception is None
    assert json.loads(mended.stdout)["touched_days"] == 1
    assert pipeline.ask(f"select credits from fct_usage where usage_date_utc = '{day}'") == [
        (Decimal("1.5"),)
    ]


def test_usage_of_a_new_account_flows_in_with_the_next_refresh(pipeline: Pipeline) -> None:
    with open_store(pipeline.settings) as store:
        add_account(store, UNDECLARED_ACCOUNT, time_zone="Asia/Tokyo")
    run_refresh(pipeline.settings)
    assert pipeline.ask(
        "select count(*), sum(logged_credits), min(time_zone) from fct_usage"
        f" join dim_account using (account_id) where account_id = '{UNDECLARED_ACCOUNT}'"
    ) == [
        (
            pipeline.manifest.undeclared_events,
            pipeline.manifest.undeclared_credits,
            "Asia/Tokyo",
        )
    ]


def test_a_backfill_of_all_days_gives_identical_rows(pipeline: Pipeline) -> None:
    def rows() -> list[list[tuple[Any, ...]]]:
        return [pipeline.ask(f"select * from {mart} order by all") for mart in MARTS]

    before = rows()
    done = CliRunner().invoke(
        meterhouse, ["refresh", "--from", "2026-10-01", "--to", "2026-12-01", "--full-checks"]
    )
    assert done.exception is None
    assert rows() == before


def test_usage_above_the_published_batch_is_pending(pipeline: Pipeline) -> None:
    account = pipeline.manifest.usage[0].account_id
    pipeline.load(event("pending", account_id=account), name="pending.ndjson")
    status = json.loads(CliRunner().invoke(meterhouse, ["status", "--json"]).stdout)
    assert status["pending_events"] == 1
    connection = reading_head(pipeline.settings, "raw")
    try:
        assert connection.execute("select count(*) from raw.main.load").fetchone() is not None
    finally:
        connection.close()


def test_commands_say_plainly_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    for arguments, message in (
        (["load", "--source", "meterhose", str(tmp_path)], "did you mean meterhouse?"),
        (["load", "--source", "meterhouse", str(tmp_path / "x")], "there is no such file"),
        (["sql", "select 1"], "nothing is published yet"),
        (["refresh"], "there is no usage yet"),
    ):
        failed = CliRunner().invoke(meterhouse, arguments)
        assert isinstance(failed.exception, MeterhouseError), arguments
        assert message in str(failed.exception)
