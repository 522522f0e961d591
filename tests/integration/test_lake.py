"""The lakes: one writer at a time, readers that nobody disturbs, and writers that are killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from small_lake import PUBLISHED_AT, build_published, settings_at

from warehouse.errors import MeterhouseError
from warehouse.lake import (
    attach,
    catalog_exists,
    current_snapshot,
    open_engine,
    reading_head,
    table_exists,
    writing,
)
from warehouse.locks import HELD_BY_PARENT, writer_lock
from warehouse.publication import (
    latest_publications,
    publish,
    read_pointer,
    reading_published,
)
from warehouse.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_at(tmp_path)


@contextmanager
def child(settings: Settings, code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs ``code``, which finds ``settings`` and says ``ready`` when it is."""
    program = (
        "import time\n"
        "from warehouse.lake import writing\n"
        "from warehouse.locks import writer_lock\n"
        "from warehouse.settings import load_settings\n"
        "settings = load_settings()\n" + code
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=settings.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"


HOLD_THE_LOCK = """
with writer_lock(settings, "raw"):
    print("ready", flush=True)
    time.sleep(600)
"""

WRITE_WITHOUT_END = """
with writing(settings, "raw") as connection:
    connection.execute("create table if not exists raw.main.batch (id int, x int)")
    number = 0
    while True:
        number += 1
        connection.execute("begin")
        connection.execute(f"insert into raw.main.batch select {number}, range from range(2000)")
        connection.execute(f"insert into raw.main.batch select {number}, range from range(2000)")
        connection.execute("commit")
        if number == 3:
            print("ready", flush=True)
"""


def test_a_second_writer_of_a_lake_is_told_to_wait(settings: Settings) -> None:
    impatient = settings.model_copy(update={"lock_timeout": 0.1})
    with child(settings, HOLD_THE_LOCK) as holder:
        wait_until_ready(holder)
        with pytest.raises(MeterhouseError, match="another loader has been writing the raw lake"):
            with writing(impatient, "raw"):
                pass


def test_loader_and_builder_do_not_wait_for_each_other(settings: Settings) -> None:
    with child(settings, HOLD_THE_LOCK) as holder:
        wait_until_ready(holder)
        with writing(settings, "marts") as connection:
            connection.execute("create table marts.main.t as select 1 as x")
    assert catalog_exists(settings, "marts")


def test_a_lock_is_let_go_when_its_process_is_killed(settings: Settings) -> None:
    with child(settings, HOLD_THE_LOCK) as holder:
        wait_until_ready(holder)
        holder.kill()
        holder.wait()
        with writing(settings, "raw"):
            pass


def test_a_lock_is_let_go_when_the_writer_fails(settings: Settings) -> None:
    with pytest.raises(duckdb.Error), writing(settings, "raw") as connection:
        connection.execute("select * from nowhere")
    with child(settings, HOLD_THE_LOCK) as other:
        wait_until_ready(other)


def test_a_process_may_take_its_lock_twice(settings: Settings) -> None:
    with writer_lock(settings, "raw"), writing(settings, "raw") as connection:
        connection.execute("create table raw.main.t as select 1 as x")


def test_a_child_writes_under_the_lock_that_its_parent_holds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HELD_BY_PARENT, "raw")
    with writer_lock(settings, "raw"), child(settings, HOLD_THE_LOCK) as built:
        wait_until_ready(built)


def test_readers_go_on_while_a_writer_commits(settings: Settings) -> None:
    with child(settings, WRITE_WITHOUT_END) as writer:
        wait_until_ready(writer)
        deadline = time.monotonic() + 120
        seen: list[int] = []
        while len(set(seen)) < 4:
            assert time.monotonic() < deadline, f"readers saw no more than {seen}"
            connection = reading_head(settings, "raw")
            rows, batches = connection.execute(
                "select count(*), count(distinct id) from raw.main.batch"
            ).fetchone() or (0, 0)
            connection.close()
            assert rows == batches * 4000
            seen.append(rows)
    assert seen == sorted(seen)


def test_a_killed_writer_leaves_whole_batches_and_no_lock(settings: Settings) -> None:
    for _ in range(3):
        with child(settings, WRITE_WITHOUT_END) as writer:
            wait_until_ready(writer)
            time.sleep(0.05)
            writer.kill()
            writer.wait()
        with writing(settings, "raw") as connection:
            torn = connection.execute(
                "select id, count(*) from raw.main.batch group by id having count(*) % 4000 <> 0"
            ).fetchall()
            assert torn == []


def test_a_pinned_reader_sees_nothing_newer(settings: Settings) -> None:
    with writing(settings, "raw") as connection:
        connection.execute("create table raw.main.t as select range as x from range(100)")
        snapshot = current_snapshot(connection, "raw")
        pinned = open_engine(settings)
        attach(pinned, settings, "raw", snapshot=snapshot)
        connection.execute("insert into raw.main.t select range from range(100)")
        connection.execute("create table raw.main.later as select 1 as x")
        assert pinned.execute("select count(*) from raw.main.t").fetchone() == (100,)
        assert not table_exists(pinned, "raw.main.later")
        assert table_exists(connection, "raw.main.later")
        pinned.close()


def test_what_is_opened_for_reading_cannot_be_written(settings: Settings) -> None:
    build_published(settings)
    for connection in (reading_head(settings), reading_published(settings)[0]):
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("delete from marts.main.fct_usage")
        connection.close()


def test_reading_where_nothing_was_written_creates_nothing(settings: Settings) -> None:
    assert not catalog_exists(settings, "raw")
    assert read_pointer(settings) is None
    with pytest.raises(MeterhouseError, match="nothing is published yet"):
        reading_published(settings)
    assert not (settings.home / "raw.sqlite").exists()
    assert not (settings.home / "marts.sqlite").exists()


def test_the_catalog_is_in_write_ahead_mode_from_its_first_moment(settings: Settings) -> None:
    import sqlite3

    with writing(settings, "raw"):
        pass
    catalog = sqlite3.connect(settings.home / "raw.sqlite")
    assert catalog.execute("pragma journal_mode").fetchone() == ("wal",)
    catalog.close()
    assert not (settings.home / "raw.draft").exists()


def test_a_draft_left_by_a_killed_writer_is_no_obstacle(settings: Settings) -> None:
    (settings.home / "raw.draft").write_bytes(b"half a catalog")
    with writing(settings, "raw") as connection:
        connection.execute("create table raw.main.t as select 1 as x")


def test_two_processes_may_create_the_catalog_at_once(settings: Settings) -> None:
    patient = settings.model_copy(update={"lock_timeout": 120.0})
    create = """
with writing(settings, "raw") as connection:
    connection.execute("create table if not exists raw.main.t (x int)")
    connection.execute("insert into raw.main.t values (1)")
print("ready", flush=True)
"""
    with child(patient, create) as one, child(patient, create) as other:
        wait_until_ready(one)
        wait_until_ready(other)
    connection = reading_head(settings, "raw")
    assert connection.execute("select count(*) from raw.main.t").fetchone() == (2,)
    connection.close()


def test_the_pointer_names_the_newest_publication(settings: Settings) -> None:
    first = build_published(settings)
    assert read_pointer(settings) == first
    with writing(settings, "marts") as connection:
        connection.execute("delete from marts.main.fct_usage")
        second = publish(
            connection,
            marts_snapshot=current_snapshot(connection, "marts"),
            raw_snapshot=first.raw_snapshot,
            raw_load_id=first.raw_load_id,
            published_at=datetime(2026, 11, 5, tzinfo=UTC),
        )
        assert latest_publications(connection, 5) == [second, first]
    assert read_pointer(settings) == second
    assert second.publication_id == first.publication_id + 1
    assert first.published_at == PUBLISHED_AT


def test_what_is_written_after_publishing_is_not_shown(settings: Settings) -> None:
    published = build_published(settings)
    with writing(settings, "marts") as connection:
        connection.execute("delete from marts.main.fct_usage")
    connection, shown = reading_published(settings)
    assert shown == published
    assert connection.execute("select count(*) from fct_usage").fetchone() == (7,)
    connection.close()
    head = reading_head(settings)
    assert head.execute("select count(*) from marts.main.fct_usage").fetchone() == (0,)
    head.close()


def test_a_published_state_of_before_can_be_read_again(settings: Settings) -> None:
    first = build_published(settings)
    with writing(settings, "marts") as connection:
        connection.execute("delete from marts.main.fct_usage")
        publish(
            connection,
            marts_snapshot=current_snapshot(connection, "marts"),
            raw_snapshot=first.raw_snapshot,
            raw_load_id=first.raw_load_id,
            published_at=datetime(2026, 11, 5, tzinfo=UTC),
        )
    connection, _ = reading_published(settings, first)
    assert connection.execute("select count(*) from fct_usage").fetchone() == (7,)
    connection.close()


def test_the_signatures_of_the_extensions_are_checked_once_a_process() -> None:
    asked = (
        "from pathlib import Path; from warehouse.lake import open_engine;"
        "from warehouse.settings import Settings; settings = Settings(home=Path('none'));"
        "print([open_engine(settings).execute("
        "\"select current_setting('allow_unsigned_extensions')\").fetchone()[0]"
        " for _ in range(2)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[False, True]"


def test_no_extension_is_ever_downloaded(settings: Settings) -> None:
    connection = open_engine(settings)
    with pytest.raises(duckdb.Error):
        connection.execute("load httpfs")
    named = connection.execute(
        "select name, value from duckdb_settings() where name like 'auto%_known_extensions'"
    ).fetchall()
    assert dict(named) == {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection.close()
