"""``meterhouse status``: how things stand."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from small_lake import PUBLISHED_AT, RAW_LOAD_ID, build_published, build_raw, run, settings_at

from orchestration.commands.status import doctor, status_lines, upkeep
from orchestration.commands.status import status as status_command
from warehouse.lake import writing
from warehouse.publication import CheckResult, record_checks
from warehouse.settings import Settings
from warehouse.status import Landing, Status, status

PASSED = CheckResult("facts", "fact_events_are_unique", "error", True, 0, "ok")
FAILED = CheckResult("facts", "fact_events_are_unique", "error", False, 2, "2 rows")
WARNED = CheckResult("trends", "usage_is_rated", "warn", False, 1, "1 row")

PENDING = """
insert into raw.main.load (
    load_id, kind, source, path, content_hash, size_bytes, line_count,
    rows_read, rows_loaded, rows_duplicate, rows_rejected, started_at, finished_at
)
values (4, 'file', 'logs', '/landing/logs/c.jsonl', 'c', 10, 3, 3, 1, 0, 2,
    '2026-11-05 10:00', '2026-11-05 10:00');
insert into raw.main.usage_event
select * replace (4 as load_id, 'e10' as event_id, timestamp '2026-11-05 09:00' as occurred_at,
    date '2026-11-05' as usage_date_utc)
from raw.main.usage_event where event_id = 'e1';
insert into raw.main.usage_quarantine
select held.* replace (4 as load_id, number as line_number, reason as reason)
from raw.main.usage_quarantine as held, (values (2), (3)) as line (number);
insert into raw.main.usage_quarantine_release values (5, 2, 9);
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_at(tmp_path)


@pytest.fixture
def cli(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> click.Group:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    return click.Group(commands=[status_command, doctor, upkeep])


def test_an_empty_home_has_a_status_and_stays_empty(tmp_path: Path) -> None:
    empty = tmp_path / "home"
    assert status(Settings(home=empty)) == Status()
    assert not empty.exists()


def test_what_is_loaded_but_not_published_is_pending(settings: Settings) -> None:
    build_raw(settings)
    found = status(settings)
    assert found.published_snapshot is None
    assert found.newest_event_at is None
    assert found.newest_loaded_event_at == datetime(2026, 11, 3, 9, tzinfo=UTC)
    assert found.pending_events == 10
    assert found.pending_loads == 2


def test_the_status_of_a_published_state(settings: Settings) -> None:
    published = build_published(settings)
    with writing(settings, "raw") as connection:
        run(connection, PENDING, "raw")
    found = status(settings, Landing(waiting=("/landing/logs/d.jsonl",)))
    assert found == Status(
        published_snapshot=published.marts_snapshot,
        published_at=PUBLISHED_AT,
        published_raw_snapshot=published.raw_snapshot,
        published_load_id=RAW_LOAD_ID,
        newest_event_at=datetime(2026, 11, 3, 8, tzinfo=UTC),
        newest_loaded_event_at=datetime(2026, 11, 5, 9, tzinfo=UTC),
        last_load_at=datetime(2026, 11, 5, 10, tzinfo=UTC),
        last_load_id=4,
        pending_events=1,
        pending_loads=1,
        landing=Landing(waiting=("/landing/logs/d.jsonl",)),
        rejected={"unknown_category": 2},
    )


def test_failing_checks_are_those_of_the_last_state_checked(settings: Settings) -> None:
    build_published(settings)
    with writing(settings, "marts") as connection:
        for snapshot, hour, results in (
            (1, 10, [FAILED]),
            (2, 11, [FAILED, PASSED]),
            (2, 12, [PASSED, WARNED]),
        ):
            record_checks(
                connection,
                results[-2:],
                marts_snapshot=snapshot,
                raw_load_id=3,
                checked_at=datetime(2026, 11, 4, hour, tzinfo=UTC),
            )
    found = status(settings)
    assert found.checked_at == datetime(2026, 11, 4, 12, tzinfo=UTC)
    assert found.errors == ()
    assert found.warnings == (WARNED,)


def test_all_results_of_an_audit_are_one_snapshot_of_the_lake(settings: Settings) -> None:
    build_published(settings)

    def snapshots() -> int:
        (count,) = connection.execute("select count(*) from marts.snapshots()").fetchone() or ()
        return int(count)

    with writing(settings, "marts") as connection:
        before = snapshots()
        record_checks(
            connection,
            [FAILED, PASSED, WARNED],
            marts_snapshot=9,
            raw_load_id=4,
            checked_at=datetime(2026, 11, 4, tzinfo=UTC),
        )
        assert snapshots() == before + 1
    assert status(settings).errors == (FAILED,)
    assert status(settings).warnings == (WARNED,)


def test_a_failed_check_of_an_unpublished_build_is_shown(settings: Settings) -> None:
    build_published(settings)
    with writing(settings, "marts") as connection:
        record_checks(
            connection,
            [FAILED],
            marts_snapshot=9,
            raw_load_id=4,
            checked_at=datetime(2026, 11, 4, tzinfo=UTC),
        )
    assert status(settings).errors == (FAILED,)
    assert ("failing check", "fact_events_are_unique: 2 rows") in status_lines(status(settings))


def test_the_command_prints_json_with_iso_times(settings: Settings, cli: click.Group) -> None:
    build_published(settings)
    done = CliRunner().invoke(cli, ["status", "--json"])
    assert done.exit_code == 0, done.output
    plain = json.loads(done.stdout)
    assert plain["published_at"] == "2026-11-04T12:00:00Z"
    assert plain["newest_event_at"] == "2026-11-03T08:00:00Z"
    assert plain["rejected"] == {"unknown_category": 1}
    assert plain["files_waiting"] == 0
    assert plain["failing_checks"] == []


def test_the_command_names_the_files_that_wait(settings: Settings, cli: click.Group) -> None:
    folder = settings.landing_folder / "meterhouse"
    folder.mkdir(parents=True)
    (folder / "new.jsonl").write_text("{}\n")
    assert "new.jsonl" in CliRunner().invoke(cli, ["status"]).stdout
    assert json.loads(CliRunner().invoke(cli, ["status", "--json"]).stdout)["files_waiting"] == 1


def test_the_command_speaks_on_an_empty_home(cli: click.Group) -> None:
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 0
    assert "nothing yet" in done.stdout


def test_the_upkeep_command_says_what_it_did(settings: Settings, cli: click.Group) -> None:
    assert CliRunner().invoke(cli, ["upkeep"]).stdout == "there is no lake yet\n"
    build_published(settings)
    done = CliRunner().invoke(cli, ["upkeep", "--json"])
    assert [lake["lake"] for lake in json.loads(done.stdout)["lakes"]] == ["raw", "marts"]
