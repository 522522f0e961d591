"""A busy loader, refreshes, readers and backups at once: nobody waits, nothing is torn.

It takes 20 seconds by default; METERHOUSE_SOAK_SECONDS makes it longer (`make soak`: two minutes).
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from billing.accounts import add_account
from billing.store import open_store, place_of
from orchestration.commands.backup import check_findings
from orchestration.loading import load_files
from orchestration.refresh_job import run_refresh
from tests.integration.loading_lab import event, lines
from warehouse.backup.restoring import restore
from warehouse.backup.sets import sets_of
from warehouse.publication import Publication, read_pointer, reading_published
from warehouse.settings import ROOT, Settings

SECONDS = float(os.environ.get("METERHOUSE_SOAK_SECONDS", "20"))

POLL_SECONDS = 0.5
"""Between two looks of a reader: more often, two of them leave no processor to the refresh."""

CATCH_UP_SECONDS = 120
"""A reader that has not read the last publication after this long never will."""

AGREEMENT = """
    select
        (select max(load_id) from fct_usage),
        (select count(*) from fct_usage),
        (select sum(events) from fct_usage_daily),
        (select sum(credits) from fct_usage),
        (select sum(credits) from fct_usage_daily),
        (
            select sum(credits)
            from raw.main.usage_event as event
            anti join (
                select source, event_id, revision
                from raw.main.usage_supersession
                where load_id <= $1
            ) using (source, event_id, revision)
            where load_id <= $1 and not is_withdrawn
        )
"""


class Reader(threading.Thread):
    """Polls the published snapshot and notes whatever does not agree."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.settings = settings
        self.reads = 0
        self.snapshots: set[int] = set()
        self.problems: list[object] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(POLL_SECONDS):
            try:
                connection, pointer = reading_published(self.settings)
                try:
                    found = connection.execute(AGREEMENT, [pointer.raw_load_id]).fetchone()
                finally:
                    connection.close()
            except Exception as error:
                self.problems.append(error)
                return
            self.reads += 1
            self.snapshots.add(pointer.marts_snapshot)
            assert found is not None
            load_id, facts, daily, credits, daily_credits, raw_credits = found
            agrees = facts == daily and credits == daily_credits == raw_credits
            if not agrees or load_id > pointer.raw_load_id:
                self.problems.append((pointer, found))


def catch_up(readers: list[Reader], settings: Settings) -> None:
    """Wait until each reader has read what is published, or has ended over a problem."""
    pointer = read_pointer(settings)
    assert pointer is not None
    deadline = time.monotonic() + CATCH_UP_SECONDS
    for reader in readers:
        while pointer.marts_snapshot not in reader.snapshots and reader.is_alive():
            assert time.monotonic() < deadline, "a reader does not reach what is published"
            time.sleep(POLL_SECONDS)


class Backups:
    """Backups made beside everything else, one after the other, a few in all."""

    MOST = 2

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.processes: list[subprocess.Popen[str]] = []

    def go_on(self) -> None:
        if len(self.processes) < self.MOST and not any(p.poll() is None for p in self.processes):
            self.processes.append(
                subprocess.Popen(
                    [Path(sys.executable).with_name("meterhouse"), "backup", self.folder],
                    env=self.settings.environment(),
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def end(self) -> None:
        for process in self.processes:
            _, errors = process.communicate()
            assert process.returncode == 0, errors

    def are_whole(self) -> None:
        """Each set passes its check, and one restored elsewhere shows what was published then."""
        sets = sets_of(self.folder)
        assert len(sets) == len(self.processes)
        for each in sets:
            found = check_findings(each, self.settings)
            assert [finding for finding in found if finding.verdict == "problem"] == []
        home = self.folder.with_name("elsewhere")
        elsewhere = self.settings.model_copy(update={"home": home})
        restore(sets[-1], elsewhere, place_of(elsewhere))
        pointer = read_pointer(elsewhere)
        assert pointer is not None
        assert agreement(elsewhere, pointer) == agreement(self.settings, pointer)


def agreement(settings: Settings, publication: Publication) -> object:
    connection, _ = reading_published(settings, publication)
    try:
        return connection.execute(AGREEMENT, [publication.raw_load_id]).fetchone()
    finally:
        connection.close()


def test_loader_refreshes_readers_and_backups_do_not_disturb_each_other(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("METERHOUSE_MEMORY", "1GB")
    settings = Settings(home=tmp_path, memory="1GB")
    with open_store(settings) as store:
        add_account(store, "acme", time_zone="Asia/Tokyo")
    first = tmp_path / "first.ndjson"
    first.write_bytes(lines(event("first")))
    load_files(settings, "meterhouse", [first])
    run_refresh(settings)

    loader = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.busy_loader", str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    readers = [Reader(settings), Reader(settings)]
    for reader in readers:
        reader.start()
    catch_up(readers, settings)
    began = time.monotonic()
    refreshes = 0
    backups = Backups(settings, tmp_path_factory.mktemp("backups") / "sets")
    while time.monotonic() < began + SECONDS or refreshes < 1:
        backups.go_on()
        run_refresh(settings)
        refreshes += 1
    seconds = time.monotonic() - began
    catch_up(readers, settings)
    backups.end()
    output, errors = loader.communicate()
    for reader in readers:
        reader.stopped.set()
        reader.join()

    assert loader.returncode == 0, errors
    assert [problem for reader in readers for problem in reader.problems] == []
    assert all(len(reader.snapshots) > 1 for reader in readers)
    backups.are_whole()
    run_refresh(settings)
    connection, _ = reading_published(settings)
    try:
        assert connection.execute("select count(*) from fct_usage").fetchone() == (
            1 + 20 * int(output),
        )
    finally:
        connection.close()
    print(
        f"{output.strip()} loads, {refreshes} refreshes and {sum(r.reads for r in readers)} reads"
        f" in {seconds:.0f} s"
    )
