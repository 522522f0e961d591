"""Backups: made, checked, broken in every way, restored elsewhere, on SQLite and PostgreSQL."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_lake
from click.testing import CliRunner

from billing.accounts import add_account, list_accounts
from billing.store import open_store, place_of
from orchestration.commands.backup import backup, check_findings, relocate, restore
from orchestration.commands.status import store_terms
from warehouse.backup.databases import named_files
from warehouse.backup.making import Made, make_backup
from warehouse.backup.restoring import relocate as relocate_home
from warehouse.backup.restoring import restore as restore_backup
from warehouse.backup.sets import MANIFEST, find_set, sets_of
from warehouse.doctor import examine
from warehouse.errors import MeterhouseError
from warehouse.lake import LAKES, catalog_file, writing
from warehouse.leases import leases
from warehouse.publication import read_pointer, reading_published
from warehouse.settings import ROOT, Settings
from warehouse.upkeep import tidy


def filled(settings: Settings) -> Settings:
    """A home with both lakes in Parquet files, something published, and a store that agrees."""
    small_lake.build_published(settings)
    tidy(settings)
    with open_store(settings) as store:
        for name in ("acme", "blue"):
            add_account(store, name, time_zone="UTC")
    return settings


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return filled(small_lake.settings_at(tmp_path_factory.mktemp("template")))


@pytest.fixture
def home(template: Settings, tmp_path: Path) -> Settings:
    """A home of its own: a copy, that was told where it is."""
    own = small_lake.settings_at(tmp_path / "home")
    shutil.copytree(template.home, own.home)
    relocate_home(own)
    return own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def made(settings: Settings, folder: Path, **options: object) -> Made:
    return make_backup(settings, place_of(settings), folder, **options)  # type: ignore[arg-type]


def problems(folder: Path, settings: Settings) -> dict[str, str]:
    """What a check finds that is a problem, by name."""
    found = check_findings(find_set(folder), settings)
    return {each.name: each.message for each in found if each.verdict == "problem"}


def doctored(settings: Settings) -> set[str]:
    return {finding.verdict for finding in examine(settings, store_terms(settings))}


def used(settings: Settings) -> tuple[object, ...]:
    """Events and credits as published, the pointer, and who is in the store."""
    connection, pointer = reading_published(settings)
    found = connection.execute("select count(*), sum(credits) from fct_usage").fetchone()
    connection.close()
    with open_store(settings) as store:
        names = tuple(account.account_id for account in list_accounts(store))
    return found, pointer, names


def test_a_backup_restored_elsewhere_has_the_same_figures(
    home: Settings, folder: Path, tmp_path: Path
) -> None:
    first = made(home, folder)
    assert first.files == first.new_files == len(named_files(home)) + 3
    assert problems(folder, home) == {}
    elsewhere = home.model_copy(update={"home": tmp_path / "elsewhere"})
    restore_backup(find_set(folder), elsewhere, place_of(elsewhere))
    assert used(elsewhere) == used(home)
    assert doctored(elsewhere) == {"ok"}
    with writing(elsewhere, "raw") as connection:
        connection.execute("delete from raw.main.usage_quarantine")
    assert len(named_files(elsewhere)) > len(named_files(home)) - 1
    assert problems(folder, home) == {}


def test_the_commands_say_what_they_did(
    home: Settings, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(home.home))
    run = CliRunner()
    said = run.invoke(backup, [str(folder), "--keep", "2"], catch_exceptions=False)
    assert "new" in said.output and f"meterhouse backup check {folder}" in said.output
    said = run.invoke(backup, ["check", str(folder)], catch_exceptions=False)
    assert said.exit_code == 0 and "rows and sums of" in said.output
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path / "elsewhere"))
    said = run.invoke(restore, [str(folder)], catch_exceptions=False)
    assert "restored" in said.output
    with pytest.raises(MeterhouseError, match=r"is not empty: it has the raw lake(.|\n)*another"):
        run.invoke(restore, [str(folder)], catch_exceptions=False)
    next((folder / "lake").rglob("*.parquet")).unlink()
    monkeypatch.setenv("METERHOUSE_HOME", str(home.home))
    said = run.invoke(backup, ["check", str(folder)])
    assert said.exit_code == 1 and "PROBLEM  missing_files" in said.output


def damaged(content: bytes, damage: str) -> bytes | None:
    middle = len(content) // 2
    return {
        "missing": None,
        "truncated": content[:middle],
        "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }[damage]


def test_a_check_finds_each_damage_and_restore_refuses_it(
    home: Settings, folder: Path, tmp_path: Path
) -> None:
    made(home, folder)
    for what in ("lake/**/fct_usage/*.parquet", "*/raw.sqlite", "*/operations.sqlite"):
        (file,) = folder.glob(what)
        whole = file.read_bytes()
        for damage in ("missing", "truncated", "altered"):
            content = damaged(whole, damage)
            file.unlink() if content is None else file.write_bytes(content)
            found = problems(folder, home)
            assert str(file.relative_to(folder)) in found[f"{damage}_files"]
            elsewhere = home.model_copy(update={"home": tmp_path / f"{file.name}-{damage}"})
            with pytest.raises(MeterhouseError, match="is missing or changed"):
                restore_backup(find_set(folder), elsewhere, place_of(elsewhere))
            assert not any(catalog_file(elsewhere, lake).exists() for lake in LAKES)
            file.write_bytes(whole)
    assert problems(folder, home) == {}


def test_figures_that_are_not_those_of_the_lakes_are_found(home: Settings, folder: Path) -> None:
    made(home, folder)
    manifest = find_set(folder).path / MANIFEST
    manifest.write_text(manifest.read_text().replace('"17.750000000"', '"18.750000000"'))
    assert "hold other rows or sums" in problems(folder, home)["figures"]


def test_only_new_files_are_copied_and_old_sets_leave(home: Settings, folder: Path) -> None:
    first = made(home, folder)
    with pytest.raises(MeterhouseError, match="another backup .* is at work"):
        made(home, folder, progress=lambda *_: made(home, folder))
    with writing(home, "raw") as connection:
        connection.execute("insert into raw.main.absent_column select 3, range, '' from range(20)")
    tidy(home)
    second = made(home, folder, keep=1)
    assert 0 < second.new_files - 3 < first.new_files - 3
    assert second.removed_sets == 1
    assert [each.name for each in sets_of(folder)] == [second.name]
    assert problems(folder, home) == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from billing.store import place_of
from warehouse.backup.making import make_backup
from warehouse.settings import load_settings
settings = load_settings()
def progress(count, total):
    if count == 5:
        os.kill(os.getpid(), signal.SIGKILL)
make_backup(settings, place_of(settings), Path(sys.argv[1]), progress=progress)
"""


def test_a_killed_backup_is_known_as_half_of_one_and_taken_up_again(
    home: Settings, folder: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, env=home.environment()
    )
    assert killed.returncode < 0
    with pytest.raises(MeterhouseError, match=r"half a backup(.|\n)*never finished"):
        find_set(folder)
    again = made(home, folder)
    assert again.new_files == again.files - 5
    assert len(sets_of(folder)) == 1
    assert problems(folder, home) == {}


def test_a_killed_restore_is_taken_up_again(home: Settings, folder: Path, tmp_path: Path) -> None:
    made(home, folder)
    elsewhere = home.model_copy(update={"home": tmp_path / "elsewhere"})

    def stop(count: int, _: int) -> None:
        if count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_backup(find_set(folder), elsewhere, place_of(elsewhere), stop)
    assert read_pointer(elsewhere) is None
    restore_backup(find_set(folder), elsewhere, place_of(elsewhere))
    assert used(elsewhere) == used(home)
    assert doctored(elsewhere) == {"ok"}


def test_a_backup_holds_a_lease_while_it_copies(home: Settings, folder: Path) -> None:
    held: list[int] = []
    made(home, folder, progress=lambda *_: held.append(len(leases(home)[0])))
    assert set(held) == {1}
    assert leases(home) == ([], [])


WRITING = """
import sys
from datetime import UTC, datetime
from warehouse.lake import current_snapshot, writing
from warehouse.publication import latest_publication, publish
from warehouse.settings import load_settings
settings = load_settings()
for number in range(1_000_000):
    with writing(settings, "raw") as connection:
        connection.execute("insert into raw.main.absent_column select 3, range, '' from range(20)")
        raw = current_snapshot(connection, "raw")
    with writing(settings, "marts") as connection:
        connection.execute("update marts.main.fct_credit_lot set status = 'active'")
        publish(
            connection, marts_snapshot=current_snapshot(connection, "marts"), raw_snapshot=raw,
            raw_load_id=3, published_at=datetime.now(UTC),
        )
    print(number, flush=True)
"""


def test_a_backup_beside_writers_of_both_lakes_is_whole(home: Settings, folder: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITING],
        cwd=ROOT,
        env=home.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    try:
        for _ in range(2):
            writer.stdout.readline()
            made(home, folder)
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()
    for each in sets_of(folder):
        found = check_findings(each, home)
        assert [finding for finding in found if finding.verdict == "problem"] == []


def test_what_cannot_be_backed_up_is_refused_with_the_reason(
    home: Settings, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(MeterhouseError, match="holds nothing to back up"):
        made(small_lake.settings_at(tmp_path / "empty"), folder)
    for inside in (home.home, Path(home.lake_files("raw")) / "copy"):
        with pytest.raises(MeterhouseError, match="outside"):
            made(home, inside)
    with pytest.raises(MeterhouseError, match="only its own service"):
        made(home.model_copy(update={"data_path": "s3://bucket/lake"}), folder)
    with pytest.raises(MeterhouseError, match="holds no backup; make one"):
        find_set(folder)
    made(home, folder)
    with pytest.raises(MeterhouseError, match="has no set 2020"):
        find_set(folder, "2020")
    with pytest.raises(MeterhouseError, match="name a folder of its own"):
        made(filled(small_lake.settings_at(tmp_path / "second")), folder)
    with pytest.raises(MeterhouseError, match="set METERHOUSE_OPERATIONS_URL"):
        restore_backup(
            find_set(folder), home.model_copy(update={"home": tmp_path / "e"}), "postgresql://x/y"
        )


def test_a_moved_home_says_what_to_do_and_opens_after_it(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = used(home)
    moved = home.model_copy(update={"home": tmp_path / "moved"})
    home.home.rename(moved.home)
    monkeypatch.setenv("METERHOUSE_HOME", str(moved.home))
    with pytest.raises(MeterhouseError, match="run `meterhouse relocate`"):
        read_pointer(moved)
    lost = next(Path(moved.lake_files("marts")).rglob("*.parquet"))
    lost.rename(tmp_path / "aside")
    with pytest.raises(MeterhouseError, match="1 of 13 files are not below"):
        CliRunner().invoke(relocate, catch_exceptions=False)
    (tmp_path / "aside").rename(lost)
    said = CliRunner().invoke(relocate, catch_exceptions=False)
    assert "find all 13 files" in said.output
    assert used(moved) == before
    assert doctored(moved) == {"ok"}


@pytest.fixture
def databases(postgres_server: str) -> Iterator[list[str]]:
    """Addresses of four empty databases."""
    from warehouse.backup.databases import scratch_databases

    with scratch_databases(f"{postgres_server}/postgres", 3) as urls:
        yield urls


def test_catalogs_and_store_in_postgresql_are_dumped_checked_and_restored(
    databases: list[str], folder: Path, tmp_path: Path
) -> None:
    one, catalogs, operations = databases
    # Catalogs and store may share a database; restored, each has its own.
    home = filled(
        small_lake.settings_at(tmp_path / "home").model_copy(
            update={"catalog_url": one, "operations_url": one}
        )
    )
    made(home, folder)
    assert problems(folder, home) == {}
    elsewhere = small_lake.settings_at(tmp_path / "elsewhere")
    with pytest.raises(MeterhouseError, match="set METERHOUSE_CATALOG_URL"):
        restore_backup(find_set(folder), elsewhere, place_of(elsewhere))
    assert "name one with METERHOUSE_CATALOG_URL" in problems(folder, elsewhere)["opening"]
    elsewhere = elsewhere.model_copy(update={"catalog_url": catalogs, "operations_url": operations})
    restore_backup(find_set(folder), elsewhere, place_of(elsewhere))
    assert used(elsewhere) == used(home)
    assert doctored(elsewhere) == {"ok"}
    with pytest.raises(MeterhouseError, match="an operational store"):
        restore_backup(find_set(folder), elsewhere, place_of(elsewhere))
