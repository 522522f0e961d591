"""Upkeep: fewer files, fewer snapshots, and nothing gone that somebody still reads."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from small_lake import build_published, settings_at

from warehouse.errors import MeterhouseError
from warehouse.lake import attach, current_snapshot, open_engine, reading_head, writing
from warehouse.leases import LEASE_LIFE, lease, leases, remove_stale_leases
from warehouse.locks import writer_lock
from warehouse.publication import Publication, publish, reading_published
from warehouse.settings import Settings
from warehouse.upkeep import LakeUpkeep, snapshots_to_expire, tidy

DAY = timedelta(days=1)
LATER = datetime.now(UTC) + 40 * DAY
"""A time at which every snapshot of today is old enough to expire."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_at(tmp_path)


def commit_files(settings: Settings, files: int) -> None:
    """Commit small Parquet files to the raw lake, one each."""
    with writing(settings, "raw") as connection:
        connection.execute("create table if not exists raw.main.t (x bigint)")
        for _ in range(files):
            connection.execute("insert into raw.main.t select range from range(100)")


def snapshots(settings: Settings, lake: str) -> list[int]:
    connection = reading_head(settings)
    rows = connection.execute(f"select snapshot_id from ducklake_snapshots('{lake}')").fetchall()
    connection.close()
    return sorted(row[0] for row in rows)


def files_of(settings: Settings, lake: str) -> list[Path]:
    return sorted(Path(settings.lake_files(lake)).rglob("*.parquet"))


def of_lake(done: tuple[LakeUpkeep, ...], lake: str) -> LakeUpkeep:
    return next(report for report in done if report.lake == lake)


def republish(settings: Settings, before: Publication) -> Publication:
    with writing(settings, "marts") as connection:
        connection.execute("insert into marts.main.fct_usage select * from marts.main.fct_usage")
        return publish(
            connection,
            marts_snapshot=current_snapshot(connection, "marts"),
            raw_snapshot=before.raw_snapshot,
            raw_load_id=before.raw_load_id,
            published_at=datetime.now(UTC),
        )


def test_old_snapshots_expire_but_for_the_newest_and_those_spared() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    known = [(1, noon - 40 * DAY), (2, noon - 35 * DAY), (3, noon - 31 * DAY), (4, noon - 5 * DAY)]
    before = noon - 30 * DAY
    assert snapshots_to_expire(known, spared=(), before=before) == [1, 2, 3]
    assert snapshots_to_expire(known, spared={2}, before=before) == [1, 3]
    assert snapshots_to_expire(known[:3], spared=(), before=before) == [1, 2]
    assert snapshots_to_expire([], spared=(), before=before) == []


def test_many_small_files_become_one_and_hold_the_same(settings: Settings) -> None:
    commit_files(settings, 6)
    report = tidy(settings)
    assert of_lake(report.lakes, "raw").files_merged == 6
    connection = reading_head(settings, "raw")
    listed = connection.execute("select count(*) from ducklake_list_files('raw', 't')").fetchone()
    assert listed == (1,)
    assert connection.execute("select count(*) from raw.main.t").fetchone() == (600,)
    connection.close()


def test_upkeep_run_again_finds_nothing_to_do(settings: Settings) -> None:
    build_published(settings)
    commit_files(settings, 3)
    tidy(settings)
    for again in tidy(settings).lakes:
        assert (again.files_merged, again.rows_flushed, again.snapshots_expired) == (0, 0, 0)


def test_rows_kept_in_the_catalog_move_to_files(settings: Settings) -> None:
    build_published(settings)
    assert files_of(settings, "raw") == []
    assert of_lake(tidy(settings).lakes, "raw").rows_flushed > 0
    assert files_of(settings, "raw") != []
    connection, _ = reading_published(settings)
    assert connection.execute("select count(*) from raw.main.usage_event").fetchone() == (10,)
    connection.close()


def test_a_young_snapshot_stays(settings: Settings) -> None:
    build_published(settings)
    before = snapshots(settings, "marts")
    tidy(settings)
    assert set(before) <= set(snapshots(settings, "marts"))


def test_the_published_state_and_the_one_before_outlive_their_age(settings: Settings) -> None:
    first = build_published(settings)
    second = republish(settings, first)
    third = republish(settings, second)
    commit_files(settings, 3)
    report = tidy(settings, LATER)
    assert of_lake(report.lakes, "marts").snapshots_expired > 0
    kept = snapshots(settings, "marts")
    assert {second.marts_snapshot, third.marts_snapshot} <= set(kept)
    assert first.marts_snapshot not in kept
    assert third.raw_snapshot in snapshots(settings, "raw")
    for publication, rows in ((third, 28), (second, 14)):
        connection, _ = reading_published(settings, publication)
        assert connection.execute("select count(*) from fct_usage").fetchone() == (rows,)
        connection.close()


def test_a_leased_snapshot_outlives_its_age(settings: Settings) -> None:
    first = build_published(settings)
    republish(settings, republish(settings, first))
    with lease(
        settings, marts_snapshot=first.marts_snapshot, raw_snapshot=first.raw_snapshot
    ) as held:
        held.renew(LATER)
        tidy(settings, LATER)
        assert first.marts_snapshot in snapshots(settings, "marts")
        connection, _ = reading_published(settings, first)
        assert connection.execute("select count(*) from fct_usage").fetchone() == (7,)
        connection.close()
    tidy(settings, LATER)
    assert first.marts_snapshot not in snapshots(settings, "marts")


def test_files_of_expired_snapshots_go_after_a_day(settings: Settings) -> None:
    commit_files(settings, 4)
    small = files_of(settings, "raw")
    tidy(settings)
    assert set(small) <= set(files_of(settings, "raw"))
    report = tidy(settings, datetime.now(UTC) + 2 * DAY)
    assert of_lake(report.lakes, "raw").old_files_removed == 4
    assert set(small).isdisjoint(files_of(settings, "raw"))


def test_an_open_reader_survives_upkeep(settings: Settings) -> None:
    commit_files(settings, 4)
    pinned = open_engine(settings)
    with writing(settings, "raw") as connection:
        snapshot = current_snapshot(connection, "raw")
    attach(pinned, settings, "raw", snapshot=snapshot)
    assert pinned.execute("select count(*) from raw.main.t").fetchone() == (400,)
    commit_files(settings, 2)
    tidy(settings)
    assert pinned.execute("select count(*) from raw.main.t").fetchone() == (400,)
    pinned.close()


def test_orphaned_files_go_once_they_cannot_belong_to_a_running_writer(settings: Settings) -> None:
    commit_files(settings, 1)
    folder = files_of(settings, "raw")[0].parent
    old, young = folder / "ducklake-old.parquet", folder / "ducklake-young.parquet"
    for orphan in (old, young):
        orphan.write_bytes(b"left behind")
    two_days_ago = time.time() - 2 * DAY.total_seconds()
    os.utime(old, (two_days_ago, two_days_ago))
    report = tidy(settings)
    assert of_lake(report.lakes, "raw").orphaned_files_removed == 1
    assert not old.exists()
    assert young.exists()


def test_upkeep_waits_for_the_writer(settings: Settings) -> None:
    commit_files(settings, 1)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from warehouse.locks import writer_lock\n"
            "from warehouse.settings import load_settings\n"
            "with writer_lock(load_settings(), 'raw'): print('ready', flush=True); time.sleep(600)",
        ],
        env=settings.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(MeterhouseError, match="another loader"):
            tidy(settings.model_copy(update={"lock_timeout": 0.1}))
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with writer_lock(settings, "raw"):
        pass


def test_an_empty_home_has_nothing_to_tidy(settings: Settings) -> None:
    assert tidy(settings).lakes == ()


def test_a_lease_ends_with_its_block(settings: Settings) -> None:
    with lease(settings, marts_snapshot=3, raw_snapshot=4) as held:
        live, stale = leases(settings)
        assert [(found.marts_snapshot, found.raw_snapshot) for found in live] == [(3, 4)]
        assert stale == []
        assert held.file.exists()
    assert leases(settings) == ([], [])


def test_a_lease_not_renewed_for_a_day_counts_for_nothing(settings: Settings) -> None:
    with lease(settings, marts_snapshot=3, raw_snapshot=4) as held:
        later = datetime.now(UTC) + LEASE_LIFE + timedelta(minutes=1)
        assert leases(settings, later) == ([], [held.file])
        held.renew(later)
        assert len(leases(settings, later)[0]) == 1


def test_a_lease_of_a_dead_process_counts_for_nothing(settings: Settings) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with lease(settings, marts_snapshot=3, raw_snapshot=4) as held:
        content = json.loads(held.file.read_text())
        held.file.write_text(json.dumps(content | {"pid": dead.pid}))
        assert leases(settings) == ([], [held.file])
        held.file.write_text(json.dumps(content | {"pid": dead.pid, "host": "elsewhere"}))
        assert len(leases(settings)[0]) == 1


def test_a_lease_that_cannot_be_read_is_removed(settings: Settings) -> None:
    with lease(settings, marts_snapshot=3, raw_snapshot=4) as held:
        held.file.write_text("{")
        assert remove_stale_leases(settings) == 1
        assert not held.file.exists()
