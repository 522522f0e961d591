"""Checking a backup by opening it, and restoring one into an empty home."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from warehouse.backup.databases import (
    StorePlace,
    engine_of_catalogs,
    engine_of_store,
    holds_store,
    move_catalogs,
    named_files,
    restore_catalogs,
    restore_store,
    scratch_databases,
)
from warehouse.backup.making import LAKE_FOLDER, Progress, figures_at
from warehouse.backup.sets import BackupSet, Manifest, copy_file, digest_of
from warehouse.doctor import Finding
from warehouse.errors import MeterhouseError
from warehouse.lake import LAKES, catalog_exists
from warehouse.locks import writer_lock
from warehouse.settings import Settings

SHOWN = 3
"""So many broken files are named; the others are counted."""

_MARKER = "restoring"
_POOL = f"{LAKE_FOLDER}/"


def check_files(backup: BackupSet, manifest: Manifest) -> Iterator[Finding]:
    """Every file of a set is there, has its size and its content."""
    missing, cut, altered = [], [], []
    for file in manifest.files:
        path = backup.folder / file.path
        if not path.is_file():
            missing.append(file.path)
        elif path.stat().st_size != file.size:
            cut.append(file.path)
        elif digest_of(path) != file.sha256:
            altered.append(file.path)
    for name, broken, what in (
        ("missing_files", missing, "are missing"),
        ("truncated_files", cut, "have another size than when they were copied"),
        ("altered_files", altered, "have another content than when they were copied"),
    ):
        if broken:
            listed = ", ".join(broken[:SHOWN]) + (" …" if len(broken) > SHOWN else "")
            yield Finding(
                name,
                "problem",
                f"{len(broken)} of {len(manifest.files)} files {what}: {listed}; remove them and "
                "back up again while the home is whole, or take another backup",
            )
    if not (missing or cut or altered):
        yield Finding("files", "ok", f"all {len(manifest.files)} files are there and unchanged")


def broken_databases(backup: BackupSet, manifest: Manifest) -> list[str]:
    """The databases of a set that are missing or not as they were copied."""
    return [
        file.path
        for file in manifest.files
        if not file.path.startswith(_POOL)
        and not ((path := backup.folder / file.path).is_file() and digest_of(path) == file.sha256)
    ]


def check_figures(manifest: Manifest, opened: Settings) -> Finding:
    """The tables of an opened set hold what the lakes held when it was made."""
    try:
        found = figures_at(opened, dict(manifest.snapshots))
    except (duckdb.Error, MeterhouseError) as error:
        return Finding("figures", "problem", f"the tables cannot be read: {error}")
    wrong = sorted(
        table
        for table in manifest.figures.keys() | found.keys()
        if manifest.figures.get(table) != found.get(table)
    )
    if wrong:
        return Finding(
            "figures",
            "problem",
            f"{len(wrong)} tables hold other rows or sums than the lakes had, such as {wrong[0]}: "
            f"{manifest.figures.get(wrong[0])} was {found.get(wrong[0])} now; take another backup",
        )
    return Finding("figures", "ok", f"rows and sums of {len(found)} tables, as in the lakes then")


@contextmanager
def opened(backup: BackupSet, manifest: Manifest, settings: Settings) -> Iterator[Settings]:
    """Settings of a home of its own, for the block, that holds a set.

    Its databases are copies; its Parquet files are read where they lie in the backup. A set of
    PostgreSQL takes the server of ``METERHOUSE_CATALOG_URL`` or ``METERHOUSE_OPERATIONS_URL``.
    """
    needed = [
        name
        for name, engine in (("catalog_url", manifest.catalogs), ("operations_url", manifest.store))
        if engine == "postgresql"
    ]
    server = settings.catalog_url or settings.operations_url
    if needed and not server.startswith("postgres"):
        raise MeterhouseError(
            "this backup is of PostgreSQL and is checked on a server: name one with "
            "METERHOUSE_CATALOG_URL, whose user may create databases; no data of it is touched"
        )
    with TemporaryDirectory(prefix="meterhouse-check-") as home:
        own = settings.model_copy(
            update={
                "home": Path(home),
                "data_path": str(backup.folder / LAKE_FOLDER),
                "catalog_url": "",
                "operations_url": "",
            }
        )
        if not needed:
            yield _laid_out(backup, manifest, own)
            return
        with scratch_databases(server, len(needed)) as urls:
            own = own.model_copy(update=dict(zip(needed, urls, strict=True)))
            yield _laid_out(backup, manifest, own)


def restore(
    backup: BackupSet, settings: Settings, store: StorePlace, progress: Progress | None = None
) -> Manifest:
    """Put a set into an empty home; a restore that was killed while it copied may be done again.

    Files come first, then the store and the catalogs, without which a home is empty. Raises
    MeterhouseError when something is there already, when a file of the backup is missing or
    changed, or when the backup is of another engine than the settings.
    """
    manifest = backup.manifest()
    _refuse_another_engine(manifest, settings, store)
    marker = settings.home / _MARKER
    _refuse_what_is_there(settings, store, but_files=marker.exists())
    settings.home.mkdir(parents=True, exist_ok=True)
    marker.touch()
    if broken := broken_databases(backup, manifest):
        raise _broken(backup, broken[0])
    files = [file for file in manifest.files if file.path.startswith(_POOL)]
    for count, file in enumerate(files, 1):
        lake, path = file.path.removeprefix(_POOL).split("/", 1)
        target = Path(settings.lake_files(lake)) / path
        if not target.exists():
            try:
                digest = copy_file(backup.folder / file.path, target)
            except FileNotFoundError as error:
                raise _broken(backup, file.path) from error
            if digest != file.sha256:
                target.unlink()
                raise _broken(backup, file.path)
        if progress:
            progress(count, len(files))
    restore_store(backup, manifest.store, store)
    restore_catalogs(backup, settings)
    marker.unlink()
    return manifest


def relocate(settings: Settings) -> int:
    """Tell the catalogs of a home that was moved where their files lie now; returns how many files.

    Raises MeterhouseError, and changes nothing, when one of the files is not there.
    """
    with writer_lock(settings, "raw"), writer_lock(settings, "marts"):
        files = named_files(settings)
        missing = [
            file
            for file in files
            if not (Path(settings.lake_files(file.lake)) / file.path).is_file()
        ]
        if missing:
            folder = settings.lake_files(missing[0].lake)
            raise MeterhouseError(
                f"{len(missing)} of {len(files)} files are not below {folder}, such as "
                f"{missing[0].path}; move them there, or name their folder with "
                "METERHOUSE_DATA_PATH; nothing was changed"
            )
        move_catalogs(settings)
    return len(files)


def _laid_out(backup: BackupSet, manifest: Manifest, own: Settings) -> Settings:
    restore_catalogs(backup, own)
    place = own.operations_url or own.home / "operations.sqlite"
    restore_store(backup, manifest.store, place)
    return own


def _refuse_another_engine(manifest: Manifest, settings: Settings, store: StorePlace) -> None:
    for what, variable, kept, wanted in (
        ("catalogs", "METERHOUSE_CATALOG_URL", manifest.catalogs, engine_of_catalogs(settings)),
        ("store", "METERHOUSE_OPERATIONS_URL", manifest.store, engine_of_store(store)),
    ):
        if kept is not None and kept != wanted:
            raise MeterhouseError(
                f"the {what} of this backup lie in {kept}, those of this home in {wanted}: set "
                f"{variable} so that both are the same"
            )


def _refuse_what_is_there(settings: Settings, store: StorePlace, *, but_files: bool) -> None:
    there = [f"the {lake} lake" for lake in LAKES if catalog_exists(settings, lake)]
    if holds_store(store):
        there.append("an operational store")
    there += [
        f"files in {folder}"
        for lake in LAKES
        if not but_files
        and (folder := Path(settings.lake_files(lake))).is_dir()
        and any(folder.iterdir())
    ]
    if there:
        raise MeterhouseError(
            f"{settings.home} is not empty: it has {', '.join(there)}; a backup is restored into "
            "an empty home only: name another with METERHOUSE_HOME, or move this one away"
        )


def _broken(backup: BackupSet, path: str) -> MeterhouseError:
    return MeterhouseError(
        f"{path} of the backup is missing or changed; see `meterhouse backup check "
        f"{backup.folder}` and take another set"
    )
