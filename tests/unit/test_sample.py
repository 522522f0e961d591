"""The generator of sample usage: the same bytes for a seed, believable, wrong in known numbers."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import genai_prices
import pytest
from click.testing import CliRunner

from billing.accounts import add_account, list_accounts
from billing.sample_credits import grant_sample, sample_lots, sample_overage_price
from billing.store import open_store
from ingest.sample import (
    REASONS,
    UNDECLARED_ACCOUNT,
    UNRATED_MODEL,
    SampleManifest,
    SampleSpec,
    sample_accounts,
    sample_spikes,
    write_sample,
)
from ingest.specs import EVENT_FIELDS
from ingest.tables import CATEGORIES, STATUSES
from orchestration.commands.sample import chosen_end, sample
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

UNTIL = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
SPEC = SampleSpec(seed=3, days=120, events=12_000, until=UNTIL)
CLEAN = replace(SPEC, clean=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sample")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> SampleManifest:
    return write_sample(SPEC, folder, threads=2)


@pytest.fixture(scope="module")
def usage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A year of clean usage: the tables ``event`` (with local times) and ``account``."""
    folder = tmp_path_factory.mktemp("clean")
    spec = SampleSpec(days=400, events=60_000, until=UNTIL, clean=True)
    write_sample(spec, folder)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create table account (account_id varchar, time_zone varchar)")
        connection.executemany(
            "insert into account values (?, ?)",
            [[account.account_id, account.time_zone] for account in sample_accounts(spec)],
        )
        connection.execute(
            "create table event as select *,"
            " occurred_at at time zone 'UTC' at time zone time_zone as local_at"
            f" from read_json('{folder}/*.ndjson', columns = {{event_id: 'varchar',"
            " account_id: 'varchar', agent_id: 'varchar', category: 'varchar', model: 'varchar',"
            " occurred_at: 'timestamp', credits: 'decimal(18, 9)', input_tokens: 'bigint',"
            " status: 'varchar', session_id: 'varchar', request_hash: 'varchar'})"
            " join account using (account_id)"
        )
        yield connection


def one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def parsed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in lines(path)]


# --- the same bytes -------------------------------------------------------------------------


def test_the_same_spec_gives_the_same_bytes_on_any_number_of_threads(
    folder: Path, manifest: SampleManifest, tmp_path: Path
) -> None:
    again = write_sample(SPEC, tmp_path, threads=1)
    for first, second in zip(manifest.files, again.files, strict=True):
        assert first.path.read_bytes() == second.path.read_bytes()
    assert again.as_json()["usage"] == manifest.as_json()["usage"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        file.path.name for file in manifest.files
    ), "nothing hidden is left behind"


def test_another_seed_and_another_end_share_no_event(
    manifest: SampleManifest, tmp_path: Path
) -> None:
    small = replace(SPEC, events=300, days=20, clean=True, single_file=True)
    ids = []
    for number, spec in enumerate(
        [small, replace(small, seed=4), replace(small, until=UNTIL - timedelta(days=1))]
    ):
        written = write_sample(spec, tmp_path / str(number))
        ids.append({row["event_id"] for row in parsed(written.files[0].path)})
    assert [len(found) for found in ids] == [300, 300, 300]
    assert not ids[0] & ids[1] and not ids[0] & ids[2]


# --- known numbers --------------------------------------------------------------------------


def test_every_kind_of_defect_is_there_as_often_as_wanted(manifest: SampleManifest) -> None:
    assert manifest.defects == dict(sorted(SPEC.defects.items()))
    assert set(manifest.rejected) == set(REASONS.values())
    for file in manifest.files:
        assert file.rows == file.loaded + file.duplicate + sum(file.rejected.values())
        assert file.rows == len(lines(file.path))


def test_a_plain_reading_of_the_files_comes_to_the_numbers_of_the_manifest(
    manifest: SampleManifest,
) -> None:
    declared = {account.account_id for account in sample_accounts(SPEC)}
    stored: dict[str, dict[str, Any]] = {}
    held_back: list[dict[str, Any]] = []
    for file in manifest.files:
        loaded = duplicate = 0
        rejected: Counter[str] = Counter()
        for line in lines(file.path):
            reason = broken(line, declared)
            if reason:
                rejected[reason] += 1
                if reason == "undeclared_account":
                    held_back.append(json.loads(line, parse_float=Decimal))
                continue
            row = json.loads(line, parse_float=Decimal)
            known = stored.get(row["event_id"])
            if known is None or row.get("revision", 0) > known.get("revision", 0):
                stored[row["event_id"]] = row
                loaded += 1
            elif row == known or row.get("revision", 0) < known.get("revision", 0):
                duplicate += 1
            else:
                rejected["conflicting_duplicate"] += 1
        assert (loaded, duplicate) == (file.loaded, file.duplicate), file.path.name
        assert dict(sorted(rejected.items())) == file.rejected, file.path.name
    current = [row for row in stored.values() if not row.get("withdrawn")]
    credits: dict[str, Decimal] = defaultdict(Decimal)
    for row in current:
        credits[row["account_id"]] += Decimal(str(row.get("credits", 0)))
    assert len(stored) == SPEC.events
    assert dict(Counter(row["account_id"] for row in current)) == manifest.events
    assert dict(credits) == manifest.logged_credits
    assert {row["event_id"] for row in stored.values() if row.get("withdrawn")} == set(
        manifest.withdrawn_event_ids
    )
    for event_id, (_, new_day) in manifest.moved_events.items():
        assert stored[event_id]["occurred_at"][:10] == new_day.isoformat()
    assert len(held_back) == manifest.undeclared_events
    assert sum(row["credits"] for row in held_back) == manifest.undeclared_credits
    unrated = [row for row in current if row.get("model") == UNRATED_MODEL]
    assert sum(row["status"] == "ok" for row in unrated) == manifest.unrated_events > 0
    assert not any("credits" in row for row in unrated)


def broken(line: str, declared: set[str]) -> str | None:
    """What is wrong with a line, by the plainest reading."""
    try:
        row = json.loads(line)
    except ValueError:
        return "unreadable_line"
    if "occurred_at" not in row:
        return "missing_field"
    if row["occurred_at"] >= "2027":
        return "future_time"
    if row["category"] not in CATEGORIES:
        return "unknown_category"
    if row.get("credits", 0) < 0:
        return "negative_number"
    if row["account_id"] not in declared:
        assert row["account_id"] == UNDECLARED_ACCOUNT
        return "undeclared_account"
    return None


def test_late_rows_come_in_the_last_file_and_the_others_in_their_month(
    manifest: SampleManifest,
) -> None:
    declared = {account.account_id for account in sample_accounts(SPEC)}
    *months, late = manifest.files
    assert late.path.name == "sample-late.ndjson"
    for file in months:
        for line in lines(file.path):
            if not broken(line, declared):
                assert json.loads(line)["occurred_at"][:7] == file.path.stem[-7:]
    assert {row.get("revision", 0) for row in parsed(late.path)} == {0, 1}


def test_a_clean_sample_has_no_defect(tmp_path: Path) -> None:
    written = write_sample(CLEAN, tmp_path)
    rows = [row for file in written.files for row in parsed(file.path)]
    assert (written.loaded, written.duplicate, written.rejected) == (SPEC.events, 0, {})
    assert len({row["event_id"] for row in rows}) == len(rows) == SPEC.events
    for row in rows:
        assert set(row) <= set(EVENT_FIELDS)
        assert row["status"] in STATUSES
        assert SPEC.start <= datetime.fromisoformat(row["occurred_at"]) < SPEC.until
    assert not written.defects


def test_one_file_holds_the_same_rows_as_many(manifest: SampleManifest, tmp_path: Path) -> None:
    single = write_sample(replace(SPEC, single_file=True), tmp_path)
    assert [file.path.name for file in single.files] == ["sample.ndjson"]
    assert (single.rows, single.loaded, single.duplicate, single.rejected) == (
        manifest.rows,
        manifest.loaded,
        manifest.duplicate,
        manifest.rejected,
    )
    assert sorted(lines(single.files[0].path)) == sorted(
        line for file in manifest.files for line in lines(file.path)
    )


def test_lean_lines_leave_out_sessions_hashes_and_tags(tmp_path: Path) -> None:
    written = write_sample(replace(CLEAN, events=500, lean=True, single_file=True), tmp_path)
    names = {name for row in parsed(written.files[0].path) for name in row}
    assert not names & {"session_id", "request_hash", "tags"}


@pytest.mark.parametrize("events", [1, 10, 150])
def test_a_tiny_sample_has_as_many_events_as_asked_for(events: int, tmp_path: Path) -> None:
    spec = replace(SPEC, events=events, days=3)
    written = write_sample(spec, tmp_path)
    declared = {account.account_id for account in sample_accounts(spec)}
    ids = {
        json.loads(line)["event_id"]
        for file in written.files
        for line in lines(file.path)
        if not broken(line, declared)
    }
    assert len(ids) == events


def test_the_manifest_as_json_keeps_every_digit(manifest: SampleManifest) -> None:
    text = json.dumps(manifest.as_json())
    again = json.loads(text)
    assert {k: Decimal(v) for k, v in again["logged_credits"].items()} == manifest.logged_credits
    assert again["spec"]["until"] == "2026-11-20T15:30:00+00:00"
    assert again["rows"] == manifest.rows


# --- believable -----------------------------------------------------------------------------


def test_all_categories_statuses_and_a_few_unknown_models_are_there(
    usage: duckdb.DuckDBPyConnection,
) -> None:
    assert {
        row[0] for row in usage.execute("select distinct category from event").fetchall()
    } == set(CATEGORIES)
    assert {row[0] for row in usage.execute("select distinct status from event").fetchall()} == set(
        STATUSES
    )
    assert 0.005 < one(usage, "select avg((status = 'error')::int) from event") < 0.04
    assert one(usage, "select count(*) from event where model is null") > 0
    assert (
        one(
            usage,
            "select count(request_hash) - count(distinct request_hash) from event",
        )
        > 0
    )


def test_language_models_are_known_to_the_price_list_but_for_the_own_router(
    usage: duckdb.DuckDBPyConnection,
) -> None:
    models = usage.execute("select distinct model from event where category = 'llm'").fetchall()
    unknown = set()
    for (model,) in models:
        try:
            genai_prices.calc_price(genai_prices.Usage(input_tokens=1), model_ref=model)
        except LookupError:
            unknown.add(model)
    assert unknown == {"craveva-router-1"}


def test_an_office_rests_at_the_weekend_and_a_service_round_the_clock_does_not(
    usage: duckdb.DuckDBPyConnection,
) -> None:
    share = "avg((isodow(local_at) >= 6)::int) from event where agent_id"
    assert one(usage, f"select {share} = 'research-copilot'") < 0.08
    assert one(usage, f"select {share} = 'alert-triage'") > 0.2
    assert one(usage, f"select {share} = 'policy-chat'") > 0.3


def test_days_and_nights_are_those_of_the_account(usage: duckdb.DuckDBPyConnection) -> None:
    share = "avg((hour(local_at) between {}  and {})::int) from event where agent_id = '{}'"
    assert one(usage, "select " + share.format(8, 18, "storyboard")) > 0.8, "an office in Auckland"
    assert one(usage, "select " + share.format(8, 18, "sql-analyst")) > 0.8, "one in New York"
    assert one(usage, "select " + share.format(0, 6, "nightly-etl")) > 0.8, "a batch there"
    assert one(usage, "select " + share.format(17, 23, "order-assistant")) > 0.4, (
        "evenings in India"
    )


def test_usage_grows_with_most_accounts_and_shrinks_with_one(
    usage: duckdb.DuckDBPyConnection,
) -> None:
    growth = (
        "select count(*) filter (local_at between date '2026-08-01' and date '2026-11-01')"
        " / count(*) filter (local_at between date '2025-11-01' and date '2026-02-01')"
        " from event where account_id = "
    )
    assert one(usage, growth + "'hoshino-games'") > 2
    assert one(usage, growth + "'hudson-analytics'") > 1.4
    assert one(usage, growth + "'ipe-advogados'") < 0.95


def test_an_account_that_joined_late_has_no_usage_before(usage: duckdb.DuckDBPyConnection) -> None:
    assert one(usage, "select min(occurred_at) from event where account_id = 'himal-trails'") > (
        datetime(2026, 5, 1)
    )


def test_a_spike_stands_out_of_its_agents_days(usage: duckdb.DuckDBPyConnection) -> None:
    spikes = sample_spikes(SampleSpec(days=400, events=60_000, until=UNTIL, clean=True))
    assert len(spikes) > 10
    for spike in spikes:
        usual, peak = usage.execute(
            """
            with days as (
                select local_at::date as day, count(*) as events
                from event
                where account_id = $account and agent_id = $agent
                    and local_at::date between $first - 35 and $last + 35
                    and isodow(local_at) = isodow($first)
                group by all
            )
            select median(events) filter (day <> $first), max(events) filter (day = $first)
            from days
            """,
            {
                "account": spike.account_id,
                "agent": spike.agent_id,
                "first": spike.first_day,
                "last": spike.last_day,
            },
        ).fetchone() or (0, 0)
        assert peak > 1.8 * usual, spike


def test_accounts_live_in_zones_of_every_kind_and_have_addresses_that_reach_nobody() -> None:
    accounts = sample_accounts(SPEC)
    zones = {account.time_zone for account in accounts}
    assert {
        "Asia/Kolkata",
        "America/New_York",
        "America/St_Johns",
        "Pacific/Auckland",
        "UTC",
    } <= zones
    for account in accounts:
        ZoneInfo(account.time_zone)
        assert account.email.endswith(".example")


def test_more_accounts_than_are_described_get_names_of_their_own(tmp_path: Path) -> None:
    spec = replace(SPEC, accounts=300, days=10, events=3_000)
    accounts = sample_accounts(spec)
    assert len({account.account_id for account in accounts}) == 300
    assert len({account.email for account in accounts}) == 300
    written = write_sample(replace(spec, clean=True), tmp_path)
    assert len(written.events) > 150


@pytest.mark.parametrize("wrong", [{"accounts": 0}, {"days": 0}, {"events": 0}, {"seed": -1}])
def test_a_sample_without_size_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(MeterhouseError, match=next(iter(wrong))):
        SampleSpec(**wrong)  # type: ignore[arg-type]


# --- the command ----------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_sample_ends_where_it_is_told_to() -> None:
    assert chosen_end(None, None, NOW) == NOW
    assert chosen_end(None, {"until": "2026-11-01T00:00:00+00:00"}, NOW).date() == date(2026, 11, 1)
    assert chosen_end("2026-11-22", None, NOW).isoformat() == "2026-11-22T23:59:59+00:00"
    assert chosen_end("2026-11-23", None, NOW) == NOW
    assert (
        chosen_end("2026-11-22T10:00+05:30", None, NOW).isoformat() == "2026-11-22T04:30:00+00:00"
    )
    with pytest.raises(MeterhouseError, match="future"):
        chosen_end("2026-11-24", None, NOW)
    with pytest.raises(MeterhouseError, match="write a date"):
        chosen_end("tomorrow", None, NOW)


def test_the_command_declares_accounts_and_writes_the_same_files_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("METERHOUSE_LANDING", raising=False)
    monkeypatch.delenv("METERHOUSE_OPERATIONS_URL", raising=False)
    arguments = ["--events", "400", "--days", "40", "--json"]
    first = CliRunner().invoke(sample, arguments, catch_exceptions=False)
    landed = tmp_path / "landing" / "meterhouse"
    written = {file.name: file.read_bytes() for file in landed.iterdir()}
    second = CliRunner().invoke(sample, arguments, catch_exceptions=False)
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert {file.name: file.read_bytes() for file in landed.iterdir()} == written
    with open_store(Settings(home=tmp_path)) as store:
        accounts = {account.account_id: account for account in list_accounts(store)}
    assert len(accounts) == 12
    assert accounts["kaveri-foods"].current.time_zone == "Asia/Kolkata"
    with pytest.raises(MeterhouseError, match="another sample"):
        CliRunner().invoke(sample, ["--events", "500", "--days", "40"], catch_exceptions=False)


def test_with_an_output_folder_the_command_touches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path / "home"))
    outcome = CliRunner().invoke(
        sample,
        ["--events", "200", "--days", "20", "--clean", "--output", str(tmp_path / "out")],
        catch_exceptions=False,
    )
    assert "sum" in outcome.stdout
    assert list((tmp_path / "out").glob("*.ndjson"))
    assert not (tmp_path / "home").exists()


def test_the_samples_lots_go_with_its_usage_and_come_once(tmp_path: Path) -> None:
    until = datetime(2026, 11, 23, tzinfo=UTC)
    first = until - timedelta(days=400)
    used = {"a": Decimal("1000.5"), "b": Decimal(20000), "idle": Decimal(0)}
    currencies = {"a": "EUR", "b": "CHF", "idle": "EUR"}
    lots = sample_lots(used, currencies, first, until)
    for account_id in ("a", "b"):
        granted = sum(lot.credits for lot in lots if lot.account_id == account_id)
        assert Decimal("0.97") < granted / used[account_id] < Decimal("1.21")
    assert {lot.account_id for lot in lots} == {"a", "b"}
    assert all(lot.paid_minor is None for lot in lots if lot.account_id == "b")
    assert all(
        first <= lot.effective_at < until < lot.effective_at + timedelta(401) for lot in lots
    )
    soon = [
        lot for lot in lots if lot.expires_at and until < lot.expires_at < until + timedelta(14)
    ]
    assert [(lot.account_id, lot.kind) for lot in soon] == [("a", "promotional")]
    assert [lot.account_id for lot in lots if lot.kind == "adjustment"] == ["b"]
    with open_store(Settings(home=tmp_path, operations_url="")) as store:
        add_account(store, "a", currency="EUR")
        mine = [lot for lot in lots if lot.account_id == "a"]
        assert (grant_sample(store, mine), grant_sample(store, mine)) == (7, 0)


def test_the_samples_overage_costs_more_than_its_packages() -> None:
    assert sample_overage_price("postpaid", "EUR") == "0.0102"
    assert sample_overage_price("postpaid", "JPY") == "1.62"
    assert sample_overage_price("prepaid", "EUR") is None
    assert sample_overage_price("postpaid", "CHF") is None
