"""``meterhouse doctor``: each thing that can be wrong, provoked once."""

import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from small_lake import build_published, settings_at

from orchestration.commands.status import doctor, store_terms
from warehouse.doctor import Finding, StoreCredits, StoreTerms, examine
from warehouse.lake import catalog_file, current_snapshot, writing
from warehouse.leases import lease
from warehouse.publication import Publication, publish
from warehouse.settings import Settings
from warehouse.upkeep import tidy

TERMS = StoreTerms(count=2, highest_id=2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_at(tmp_path)


@pytest.fixture
def published(settings: Settings) -> Publication:
    return build_published(settings)


def wrong(settings: Settings, terms: StoreTerms | None = TERMS) -> dict[str, Finding]:
    """What the doctor finds that is not as it should be, by name."""
    return {
        finding.name: finding for finding in examine(settings, terms) if finding.verdict != "ok"
    }


def execute(settings: Settings, lake: str, statement: str) -> None:
    with writing(settings, lake) as connection:  # type: ignore[arg-type]
        connection.execute(statement)


def publish_head(settings: Settings, before: Publication, **changes: int) -> None:
    with writing(settings, "marts") as connection:
        pointer = {
            "marts_snapshot": current_snapshot(connection, "marts"),
            "raw_snapshot": before.raw_snapshot,
            "raw_load_id": before.raw_load_id,
        }
        publish(connection, **(pointer | changes), published_at=datetime.now(UTC))


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def test_nothing_is_wrong_with_an_empty_home(tmp_path: Path) -> None:
    empty = tmp_path / "home"
    assert wrong(Settings(home=empty)) == {}
    assert not empty.exists()


def test_nothing_is_wrong_with_good_lakes(settings: Settings, published: Publication) -> None:
    assert wrong(settings) == {}
    tidy(settings)
    assert wrong(settings) == {}


def test_a_catalog_that_is_no_database_is_a_problem(
    settings: Settings, published: Publication
) -> None:
    for file in settings.home.glob("raw.sqlite*"):
        file.unlink()
    catalog_file(settings, "raw").write_bytes(b"no database at all" * 100)
    found = wrong(settings)
    assert found["raw_lake"].verdict == "problem"
    assert "marts_lake" not in found


def test_a_catalog_out_of_write_ahead_mode_is_a_warning(
    settings: Settings, published: Publication
) -> None:
    catalog = sqlite3.connect(catalog_file(settings, "raw"))
    catalog.execute("pragma journal_mode=delete")
    catalog.close()
    assert wrong(settings)["raw_catalog_mode"].verdict == "warning"


def test_a_pointer_to_a_snapshot_that_is_gone_is_a_problem(
    settings: Settings, published: Publication
) -> None:
    publish_head(settings, published, raw_snapshot=99)
    found = wrong(settings)["pointer"]
    assert found.verdict == "problem"
    assert "snapshot 99 of raw cannot be read" in found.message


def test_a_pointer_beyond_what_was_loaded_is_a_problem(
    settings: Settings, published: Publication
) -> None:
    publish_head(settings, published, raw_load_id=9)
    found = wrong(settings)
    assert list(found) == ["pointer_load"]
    assert "batch 9 is published, but the newest batch of raw is 3" in found["pointer_load"].message


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "delete from raw.main.usage_event where event_id = 'e1'",
            "10 rows were loaded, 9 are there",
        ),
        ("delete from raw.main.usage_quarantine", "1 rows were rejected, 0 are in quarantine"),
        ("update raw.main.load set rows_read = 99 where load_id = 2", "1 batches do not add up"),
    ],
)
def test_raw_rows_that_the_audit_does_not_know_are_a_problem(
    settings: Settings, published: Publication, statement: str, said: str
) -> None:
    execute(settings, "raw", statement)
    found = wrong(settings)
    assert list(found) == ["load_audit"]
    assert said in found["load_audit"].message


@pytest.mark.parametrize(
    "statement",
    [
        "delete from marts.main.fct_usage where event_id = 'e7'",
        "update marts.main.fct_usage_daily set credits = credits + 0.000000001"
        " where category = 'llm' and events = 1 and status = 'error'",
    ],
)
def test_published_layers_that_differ_are_a_problem(
    settings: Settings, published: Publication, statement: str
) -> None:
    execute(settings, "marts", statement)
    assert wrong(settings) == {}, "what is not published does not count"
    publish_head(settings, published)
    found = wrong(settings)
    assert list(found) == ["conservation"]
    assert found["conservation"].verdict == "problem"


def test_a_published_state_without_daily_sums_is_a_problem(
    settings: Settings, published: Publication
) -> None:
    execute(settings, "marts", "drop table marts.main.fct_usage_daily")
    publish_head(settings, published)
    assert "no fct_usage_daily" in wrong(settings)["conservation"].message


def test_a_data_file_that_is_gone_is_a_problem(settings: Settings, published: Publication) -> None:
    tidy(settings)
    file = next(Path(settings.lake_files("marts")).rglob("*.parquet"))
    file.unlink()
    found = wrong(settings)["marts_files"]
    assert found.verdict == "problem"
    assert file.name in found.message


def test_files_that_belong_to_nothing_are_a_warning_once_they_are_old(
    settings: Settings, published: Publication
) -> None:
    tidy(settings)
    orphan = Path(settings.lake_files("raw")) / "main" / "ducklake-orphan.parquet"
    orphan.write_bytes(b"left behind")
    assert wrong(settings) == {}
    age(orphan, days=2)
    assert wrong(settings)["raw_orphans"].verdict == "warning"
    tidy(settings)
    assert wrong(settings) == {}


@pytest.mark.parametrize(
    ("terms", "verdict"),
    [
        (StoreTerms(count=3, highest_id=3), "warning"),
        (StoreTerms(count=1, highest_id=1), "problem"),
        (StoreTerms(count=0, highest_id=0), "problem"),
    ],
)
def test_store_and_lake_that_know_other_terms_are_told(
    settings: Settings, published: Publication, terms: StoreTerms, verdict: str
) -> None:
    assert wrong(settings, terms)["account_terms"].verdict == verdict
    assert wrong(settings, None) == {}


GRANTED = (
    "insert into raw.main.credit_grant by name select 1 as load_id, 7 as grant_id,"
    " 'sale' as reference, 'acme' as account_id, 'purchased' as kind, 9 as credits,"
    " 50 as priority, timestamp '2026-01-01' as effective_at, 'sold' as reason,"
    " timestamp '2026-01-01' as recorded_at"
)


@pytest.mark.parametrize(
    ("grants", "verdict", "said"),
    [
        ({7: Decimal(9)}, "ok", "1 lots in the store and in raw"),
        ({7: Decimal(9), 8: Decimal(1)}, "warning", "1 lots of the store are not in raw yet"),
        ({}, "problem", "such as number 7: the store is older than the lake"),
        ({7: Decimal("9.000000001")}, "problem", "have another amount there"),
        ({5: Decimal(1), 7: Decimal(9)}, "problem", "1 lots of the store are missing in raw"),
    ],
)
def test_lots_that_store_and_lake_know_differently_are_told(
    settings: Settings,
    published: Publication,
    grants: dict[int, Decimal],
    verdict: str,
    said: str,
) -> None:
    execute(settings, "raw", GRANTED)
    findings = {
        finding.name: finding
        for finding in examine(settings, store_credits=StoreCredits(grants, {}))
    }
    assert findings["store_lots"].verdict == verdict
    assert said in findings["store_lots"].message
    assert findings["store_purchases"].verdict == "ok"


def test_marts_that_hold_other_lots_than_were_granted_are_a_problem(
    settings: Settings, published: Publication
) -> None:
    with writing(settings, "raw") as connection:
        connection.execute(GRANTED)
        snapshot = current_snapshot(connection, "raw")
    execute(
        settings,
        "marts",
        "create or replace table marts.main.fct_credit_posting as"
        " select 'grant' as posting_kind, cast(9 as decimal(38, 9)) as credits",
    )
    publish_head(settings, published, raw_snapshot=snapshot)
    assert wrong(settings) == {}
    execute(settings, "marts", "update marts.main.fct_credit_posting set credits = 8")
    publish_head(settings, published, raw_snapshot=snapshot)
    found = wrong(settings)
    assert list(found) == ["credits"]
    assert (
        "9.000000000 of them have begun, the ledger posts 8.000000000" in found["credits"].message
    )


def test_leftovers_are_warnings(settings: Settings, published: Publication) -> None:
    scratch = settings.home / "tmp" / "load-killed"
    scratch.mkdir(parents=True)
    age(scratch, days=2)
    with lease(settings, marts_snapshot=1, raw_snapshot=1) as held:
        assert list(wrong(settings)) == ["scratch"]
        held.file.write_text("{")
        assert {finding.verdict for finding in wrong(settings).values()} == {"warning"}
        assert set(wrong(settings)) == {"scratch", "leases"}


def test_the_command_exits_with_1_for_a_problem_alone(
    settings: Settings, published: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("orchestration.commands.status.store_terms", lambda _: TERMS)
    cli = click.Group(commands=[doctor])
    well = CliRunner().invoke(cli, ["doctor", "--json"])
    assert well.exit_code == 0
    assert {finding["verdict"] for finding in json.loads(well.stdout)} == {"ok"}
    execute(settings, "raw", "delete from raw.main.usage_quarantine")
    ill = CliRunner().invoke(cli, ["doctor"])
    assert ill.exit_code == 1
    assert "PROBLEM  load_audit" in ill.stdout


def test_a_store_that_was_never_made_holds_no_terms_and_stays_unmade(settings: Settings) -> None:
    assert store_terms(settings) == StoreTerms(0, 0)
    assert not (settings.home / "operations.sqlite").exists()
