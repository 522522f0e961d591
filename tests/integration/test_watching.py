"""``meterhouse watch`` as a process of its own: quick, alone, hard to upset, easy to stop."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.accounts import add_account
from billing.store import open_store
from orchestration.loading import load_landing
from warehouse.lake import catalog_exists, reading_head, table_exists, writing
from warehouse.settings import ROOT, Settings

METERHOUSE = str(Path(sys.executable).with_name("meterhouse"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    (settings.landing_folder / "meterhouse").mkdir(parents=True)
    with open_store(settings) as store:
        add_account(store, "acme")
    return settings


def start(settings: Settings) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [METERHOUSE, "watch"],
        cwd=ROOT,
        env={**os.environ, "METERHOUSE_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def watch(settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    process = start(settings)
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def line(number: int) -> str:
    return json.dumps(
        {
            "event_id": f"e{number}",
            "account_id": "acme",
            "agent_id": "writer",
            "category": "llm",
            "credits": "1.5",
            "occurred_at": datetime.now(UTC).isoformat(),
        }
    )


def drop(settings: Settings, name: str, content: str | bytes) -> Path:
    file = settings.landing_folder / "meterhouse" / name
    draft = file.with_name(f"{name}.tmp")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.rename(file)
    return file


def events(settings: Settings) -> int:
    if not catalog_exists(settings, "raw"):
        return 0
    with closing(reading_head(settings, "raw")) as connection:
        if not table_exists(connection, "raw.main.usage_event"):
            return 0
        return connection.execute("select count(*) from raw.main.usage_event").fetchone()[0]


def until(settings: Settings, count: int, seconds: float = 120) -> float:
    began = time.monotonic()
    while (found := events(settings)) < count:
        assert time.monotonic() - began < seconds, f"{found} events, not {count}"
        time.sleep(0.1)
    assert found == count
    return time.monotonic() - began


def test_files_are_loaded_as_they_land_grow_and_are_finished(settings, watch):
    drop(settings, "a.ndjson", line(1) + "\n")
    until(settings, 1)
    took = []
    for number in range(2, 5):
        drop(settings, f"{number}.ndjson", line(number) + "\n")
        took.append(until(settings, number))
    print("seconds from the file to its rows:", [round(each, 2) for each in took])
    with (settings.landing_folder / "meterhouse" / "a.ndjson").open("a") as file:
        file.write(line(5) + "\n" + line(6)[:40])
        file.flush()
        until(settings, 5)
        file.write(line(6)[40:] + "\n")
    until(settings, 6)


def test_a_broken_file_does_not_keep_the_others_from_being_loaded(settings, watch):
    drop(settings, "broken.ndjson.gz", gzip.compress(line(1).encode())[:-9])
    drop(settings, "noise.ndjson.gz", b"no gzip at all")
    until(settings, 0)
    drop(settings, "good.ndjson", line(2) + "\n")
    until(settings, 1)
    assert watch.poll() is None
    drop(settings, "broken.ndjson.gz", gzip.compress((line(1) + "\n").encode()))
    until(settings, 2)


def test_it_waits_for_another_loader_and_nothing_is_loaded_twice(settings, watch):
    drop(settings, "first.ndjson", line(0) + "\n")
    until(settings, 1)
    with writing(settings, "raw"):
        drop(settings, "a.ndjson", line(1) + "\n")
        time.sleep(2.5)
    until(settings, 2)
    for number in range(2, 6):
        drop(settings, f"{number}.ndjson", line(number) + "\n")
        load_landing(settings)
    until(settings, 6)
    with closing(reading_head(settings, "raw")) as connection:
        files = connection.execute(
            "select count(*), count(distinct path) from raw.main.load where kind = 'file'"
        ).fetchone()
    assert files == (6, 6)


def test_a_second_one_is_refused_and_the_first_goes_on(settings, watch):
    second = start(settings)
    _, said = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "another `meterhouse watch` runs" in said
    assert watch.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_also_while_another_loader_holds_the_lock(settings, watch, number):
    with writing(settings, "raw"):
        drop(settings, "a.ndjson", line(1) + "\n")
        time.sleep(1.5)
        watch.send_signal(number)
        assert watch.wait(120) == 0
    assert "stopped" in watch.stderr.read()
    load_landing(settings)
    assert events(settings) == 1
