"""Both lakes with their catalogs in one PostgreSQL database."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from small_lake import build_published, settings_at

from warehouse.doctor import StoreTerms, examine
from warehouse.errors import MeterhouseError
from warehouse.lake import (
    attach,
    catalog_exists,
    current_snapshot,
    open_engine,
    reading_head,
    writing,
)
from warehouse.locks import writer_lock
from warehouse.publication import read_pointer, reading_published
from warehouse.settings import ROOT, Settings
from warehouse.status import Status, status
from warehouse.upkeep import tidy


@pytest.fixture
def settings(tmp_path: Path, postgres_url: str) -> Settings:
    return settings_at(tmp_path).model_copy(update={"catalog_url": postgres_url})


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that runs code, which finds ``settings`` and says ``ready``."""
    with ExitStack() as stack:

        def begin(code: str) -> subprocess.Popen[str]:
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
                env=settings.model_copy(update={"lock_timeout": 120.0}).environment(),
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield begin


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"


def test_both_lakes_live_in_one_database(settings: Settings) -> None:
    assert status(settings) == Status()
    assert examine(settings)[0].verdict == "ok"
    published = build_published(settings)
    assert not list(settings.home.glob("*.sqlite"))
    assert read_pointer(settings) == published
    connection, _ = reading_published(settings)
    assert connection.execute("select count(*) from fct_usage").fetchone() == (7,)
    assert connection.execute("select count(*) from raw.main.usage_event").fetchone() == (10,)
    connection.close()
    assert status(settings).newest_event_at == datetime(2026, 11, 3, 8, tzinfo=UTC)
    assert {finding.verdict for finding in examine(settings, StoreTerms(2, 2))} == {"ok"}


def test_upkeep_spares_what_is_published(settings: Settings) -> None:
    build_published(settings)
    report = tidy(settings, datetime.now(UTC) + timedelta(days=40))
    assert all(lake.rows_flushed and lake.snapshots_expired for lake in report.lakes)
    connection, _ = reading_published(settings)
    assert connection.execute("select count(*) from fct_usage").fetchone() == (7,)
    connection.close()
    assert {finding.verdict for finding in examine(settings, StoreTerms(2, 2))} == {"ok"}


def test_a_pinned_reader_sees_nothing_newer(settings: Settings) -> None:
    with writing(settings, "raw") as connection:
        connection.execute("create table raw.main.t as select range as x from range(100)")
        pinned = open_engine(settings)
        attach(pinned, settings, "raw", snapshot=current_snapshot(connection, "raw"))
        connection.execute("insert into raw.main.t select range from range(100)")
        assert pinned.execute("select count(*) from raw.main.t").fetchone() == (100,)
        pinned.close()


def test_writers_on_several_machines_exclude_each_other(
    settings: Settings, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    holder = start("with writer_lock(settings, 'raw'): print('ready', flush=True); time.sleep(600)")
    wait_until_ready(holder)
    with (
        pytest.raises(MeterhouseError, match="another loader"),
        writer_lock(settings.model_copy(update={"lock_timeout": 0.1}), "raw"),
    ):
        pass
    with writing(settings, "marts"), writing(settings, "marts"):
        pass
    holder.kill()
    holder.wait()
    with writer_lock(settings.model_copy(update={"lock_timeout": 120.0}), "raw"):
        pass


def test_processes_may_create_both_catalogs_at_once(
    settings: Settings, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    creators = [
        start(
            f"with writing(settings, '{lake}') as connection:\n"
            f"    connection.execute('create table if not exists {lake}.main.t (x int)')\n"
            f"    connection.execute('insert into {lake}.main.t values (1)')\n"
            "print('ready', flush=True)"
        )
        for lake in ("raw", "marts", "raw", "marts")
    ]
    for creator in creators:
        wait_until_ready(creator)
    connection = reading_head(settings)
    for lake in ("raw", "marts"):
        assert connection.execute(f"select count(*) from {lake}.main.t").fetchone() == (2,)
    connection.close()


def test_a_database_that_cannot_be_reached_is_not_taken_for_an_empty_one(
    tmp_path: Path, postgres_server: str
) -> None:
    settings = Settings(home=tmp_path, catalog_url=f"{postgres_server}/nowhere")
    with pytest.raises(MeterhouseError, match="cannot be reached.*check METERHOUSE_CATALOG_URL"):
        catalog_exists(settings, "raw")
