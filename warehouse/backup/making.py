"""Making a backup while loader, refresh and app go on.

A set is as of one moment: a lease holds the snapshots, the catalogs are copied (marts, then raw,
then the store, so that each holds what the one before refers to), then the files that the copies
name. Files never change, so only new ones are copied, and a set that was killed is taken up again.
"""

import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from warehouse.backup.databases import (
    LakeFile,
    StorePlace,
    copy_catalogs,
    copy_store,
    engine_of_catalogs,
    holds_store,
)
from warehouse.backup.sets import (
    FORMAT,
    MANIFEST,
    BackupSet,
    Figures,
    Manifest,
    StoredFile,
    copy_file,
    set_name,
    sets_of,
    stored,
    total_size,
)
from warehouse.errors import MeterhouseError
from warehouse.lake import (
    LAKES,
    Connection,
    attach,
    catalog_exists,
    current_snapshot,
    open_engine,
    reading_head,
)
from warehouse.leases import Lease, lease
from warehouse.publication import latest_publication
from warehouse.settings import Settings

RENEW_SECONDS = 60.0
LAKE_FOLDER = "lake"

Progress = Callable[[int, int], None]
"""Told how many files of how many are there."""


@dataclass(frozen=True)
class Made:
    """The set that was made: its files and bytes, how many were new, what was removed."""

    name: str
    files: int
    size: int
    new_files: int
    new_size: int
    removed_sets: int
    removed_files: int


def make_backup(
    settings: Settings,
    store: StorePlace,
    folder: Path,
    *,
    keep: int | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Made:
    """Add one set to a backup folder; ``keep`` then removes all but so many of the newest sets.

    Raises MeterhouseError when there is nothing to back up, when the folder cannot take it, or
    when another backup into it is at work.
    """
    folder = folder.expanduser().absolute()
    _refuse_what_cannot_work(settings, store, folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            made = _make(settings, store, folder, now or datetime.now(UTC), progress)
            if keep is None:
                return made
            removed_sets, removed_files = keep_newest(folder, keep)
            return replace(made, removed_sets=removed_sets, removed_files=removed_files)
    except Timeout as error:
        raise MeterhouseError(f"another backup into {folder} is at work; wait for it") from error


def keep_newest(folder: Path, count: int) -> tuple[int, int]:
    """Remove all but the newest finished sets, and the files that none of those names.

    Returns how many sets and files went. Sets go first: a set always has its files.
    """
    finished = [each for each in sets_of(folder) if each.is_finished]
    leaving = finished[: -max(count, 1)]
    needed = {file.path for each in finished[-max(count, 1) :] for file in each.manifest().files}
    for each in leaving:
        (each.path / MANIFEST).unlink()
        shutil.rmtree(each.path)
    unneeded = [
        file
        for file in (folder / LAKE_FOLDER).rglob("*")
        if file.is_file() and file.relative_to(folder).as_posix() not in needed
    ]
    for file in unneeded:
        file.unlink()
    return len(leaving), len(unneeded)


def figures_at(settings: Settings, snapshots: dict[str, int]) -> Figures:
    """Rows of every table, and the sum of each decimal column, of lakes at snapshots."""
    figures: dict[str, dict[str, str]] = {}
    with closing(open_engine(settings)) as connection:
        for lake in LAKES:
            if lake in snapshots:
                attach(connection, settings, lake, snapshot=snapshots[lake])
                figures |= _figures(connection, lake)
    return figures


def _refuse_what_cannot_work(settings: Settings, store: StorePlace, folder: Path) -> None:
    if "://" in settings.data_path:
        raise MeterhouseError(
            f"the lakes' files lie in {settings.data_path}, which only its own service can back "
            "up: turn on versions there, and see docs/production.md"
        )
    for lake in LAKES:
        files = Path(settings.lake_files(lake)).absolute()
        if folder == files or files in folder.parents:
            raise MeterhouseError(
                f"{folder} lies among the files of the {lake} lake, where upkeep would remove it; "
                "name a folder outside, best on another disk"
            )
    if folder == settings.home:
        raise MeterhouseError(f"{folder} is the home itself; name a folder outside of it")
    others = {each.manifest().home for each in sets_of(folder)[-1:] if each.is_finished}
    if others - {str(settings.home)}:
        raise MeterhouseError(
            f"{folder} holds backups of {others.pop()}; name a folder of its own for this home"
        )
    if not any(catalog_exists(settings, lake) for lake in LAKES) and not holds_store(store):
        raise MeterhouseError(
            f"{settings.home} holds nothing to back up; check METERHOUSE_HOME and METERHOUSE_*_URL"
        )


def _make(
    settings: Settings, store: StorePlace, folder: Path, now: datetime, progress: Progress | None
) -> Made:
    for left in sets_of(folder):
        if not left.is_finished:
            shutil.rmtree(left.path)
    while (target := BackupSet(folder, set_name(now))).path.exists():
        now += timedelta(seconds=1)  # two within one second
    target.path.mkdir()
    snapshots = _snapshots(settings)
    with lease(
        settings,
        marts_snapshot=snapshots.get("marts", 0),
        raw_snapshot=snapshots.get("raw", 0),
    ) as held:
        files = copy_catalogs(settings, target)
        store_engine = copy_store(store, target)
        copied, new = _copy_files(settings, folder, files, held, progress)
        figures = figures_at(settings, snapshots)
    databases = [stored(folder, file) for file in sorted(target.path.iterdir())]
    manifest = Manifest(
        format=FORMAT,
        started_at=_text(now),
        finished_at=_text(datetime.now(UTC)),
        home=str(settings.home),
        catalogs=engine_of_catalogs(settings),
        store=store_engine,
        snapshots=snapshots,
        figures=figures,
        files=(*databases, *copied),
    )
    manifest.write(target.path / MANIFEST)
    return Made(
        target.name,
        len(manifest.files),
        total_size(manifest.files),
        len(databases) + len(new),
        total_size(databases) + total_size(new),
        0,
        0,
    )


def _snapshots(settings: Settings) -> dict[str, int]:
    """The snapshots that the figures are of: the published one of marts, else the head, and raw's
    head.
    """
    with closing(reading_head(settings)) as connection:
        snapshots: dict[str, int] = {
            lake: current_snapshot(connection, lake)
            for lake in LAKES
            if catalog_exists(settings, lake)
        }
        published = latest_publication(connection) if "marts" in snapshots else None
    return snapshots | ({"marts": published.marts_snapshot} if published else {})


def _copy_files(
    settings: Settings,
    folder: Path,
    files: Iterable[LakeFile],
    held: Lease,
    progress: Progress | None,
) -> tuple[list[StoredFile], list[StoredFile]]:
    """Copy what is not there yet; returns all files, and those that were new."""
    wanted = sorted(set(files), key=lambda file: (file.lake, file.path))
    known = _known_files(folder)
    there: list[StoredFile] = []
    new: list[StoredFile] = []
    renewed = time.monotonic()
    for count, file in enumerate(wanted, 1):
        path = f"{LAKE_FOLDER}/{file.lake}/{file.path}"
        target = folder / path
        if target.exists() and target.stat().st_size == file.size:
            entry = known.get(path) or stored(folder, target)
        else:
            entry = _copy(settings, file, target, path)
            new.append(entry)
        there.append(entry)
        if time.monotonic() - renewed > RENEW_SECONDS:
            held.renew()
            renewed = time.monotonic()
        if progress:
            progress(count, len(wanted))
    return there, new


def _copy(settings: Settings, file: LakeFile, target: Path, path: str) -> StoredFile:
    source = Path(settings.lake_files(file.lake)) / file.path
    try:
        digest = copy_file(source, target)
    except FileNotFoundError as error:
        raise MeterhouseError(
            f"{source} is named by the catalog and not there; if this backup has taken more than a "
            "day, upkeep has removed it: run the backup again, what was copied stays; else see "
            "`meterhouse doctor`"
        ) from error
    except OSError as error:
        raise MeterhouseError(f"{source} cannot be copied to {target}: {error}") from error
    size = target.stat().st_size
    if size != file.size:
        raise MeterhouseError(
            f"{source} has {size} bytes, its catalog says {file.size}: it is damaged; restore it "
            "from an older backup"
        )
    return StoredFile(path, size, digest)


def _known_files(folder: Path) -> dict[str, StoredFile]:
    """What earlier sets say of the files, so that nothing is read only to know its digest."""
    known: dict[str, StoredFile] = {}
    for each in sets_of(folder):
        if each.is_finished:
            known |= {file.path: file for file in each.manifest().files}
    return known


def _figures(connection: Connection, lake: str) -> dict[str, dict[str, str]]:
    columns = connection.execute(
        """
        select tables.schema_name || '.' || tables.table_name,
            list(columns.column_name order by columns.column_index)
                filter (where columns.data_type like 'DECIMAL%')
        from duckdb_tables() as tables
        inner join duckdb_columns() as columns
            using (database_name, schema_name, table_name)
        where tables.database_name = ?
        group by all
        order by 1
        """,
        [lake],
    ).fetchall()
    figures = {}
    for table, decimals in columns:
        names = decimals or []
        sums = "".join(f', sum("{name}")' for name in names)
        row = connection.execute(f"select count(*){sums} from {lake}.{table}").fetchone()
        assert row is not None
        figures[f"{lake}.{table}"] = dict(zip(("rows", *names), map(str, row), strict=True))
    return figures


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
