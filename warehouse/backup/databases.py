"""The databases of a backup: catalogs and operational store, in SQLite or PostgreSQL.

SQLite is copied by its own backup, PostgreSQL by ``pg_dump`` and ``pg_restore``, which have to be
installed then.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from warehouse.backup.sets import CATALOG_DUMP, STORE_DUMP, STORE_FILE, BackupSet, Engine
from warehouse.errors import MeterhouseError
from warehouse.lake import (
    LAKES,
    Connection,
    catalog_exists,
    catalog_file,
    metadata_schema,
    open_engine,
)
from warehouse.locks import Lake
from warehouse.postgres import connect_catalog
from warehouse.settings import Settings
from warehouse.sqlite_copy import copy_sqlite

StorePlace = Path | str
"""Where the operational store lies: a SQLite file, or the address of a PostgreSQL database."""

_SCHEMAS = "meterhouse_*"
"""The schemas of both catalogs in a PostgreSQL database that may also be the store's."""


@dataclass(frozen=True)
class LakeFile:
    """A Parquet file that a catalog names: its lake, its path below the lake's folder, its bytes.

    A file that an earlier version of DuckLake or a user added by its full path is not copied.
    """

    lake: Lake
    path: str
    size: int


def engine_of_catalogs(settings: Settings) -> Engine:
    """What the catalogs lie in."""
    return "postgresql" if settings.catalog_url else "sqlite"


def engine_of_store(place: StorePlace) -> Engine:
    """What the store lies in."""
    return "sqlite" if isinstance(place, Path) else "postgresql"


def copy_catalogs(settings: Settings, target: BackupSet) -> list[LakeFile]:
    """Copy the catalogs that exist into a set; returns the files that the copies name.

    Marts first: what is published there was in raw before, so raw's later copy holds it.
    """
    if settings.catalog_url:
        return _dump_catalogs(settings, target)
    files: list[LakeFile] = []
    for lake in reversed(LAKES):
        if catalog_exists(settings, lake):
            copy = target.path / f"{lake}.sqlite"
            copy_sqlite(catalog_file(settings, lake), copy, is_checked=True)
            with _sqlite(settings, copy) as connection:
                files += _named(lake, _rows(connection, _NAMED.format(schema="copy.main")))
    return files


def copy_store(place: StorePlace, target: BackupSet) -> Engine | None:
    """Copy the operational store into a set; None where there is none yet."""
    if isinstance(place, Path):
        if not place.exists():
            return None
        copy_sqlite(place, target.path / STORE_FILE, is_checked=True)
        return "sqlite"
    _dump(place, target.path / STORE_DUMP, [f"--exclude-schema={_SCHEMAS}"])
    return "postgresql"


def restore_catalogs(source: BackupSet, settings: Settings) -> None:
    """Put a set's catalogs where the settings say, and tell them where their files are now.

    A SQLite catalog appears whole or not at all, marts last.
    """
    if settings.catalog_url:
        _restore(settings.catalog_url, source.path / CATALOG_DUMP)
        move_catalogs(settings)
        return
    for lake in LAKES:
        if not (copy := source.path / f"{lake}.sqlite").exists():
            continue
        file = catalog_file(settings, lake)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        copy_sqlite(copy, draft, journal_mode="wal")
        _move_sqlite(settings, lake, draft)
        draft.replace(file)


def restore_store(source: BackupSet, engine: Engine | None, place: StorePlace) -> None:
    """Put a set's operational store where the settings say."""
    if engine is None:
        return
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        copy_sqlite(source.path / STORE_FILE, draft, journal_mode="wal")
        draft.replace(place)
    else:
        _restore(place, source.path / STORE_DUMP)


def holds_store(place: StorePlace) -> bool:
    """Whether something is in the operational store's place."""
    if isinstance(place, Path):
        return place.exists()
    with connect_catalog(Settings(catalog_url=place)) as connection:
        found = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'public'"
        ).fetchone()
    return bool(found and found[0])


def named_files(settings: Settings) -> list[LakeFile]:
    """The files that the catalogs name now."""
    files: list[LakeFile] = []
    for lake in LAKES:
        if not catalog_exists(settings, lake):
            continue
        if settings.catalog_url:
            query = _NAMED.format(schema=metadata_schema(settings, lake))
            with connect_catalog(settings) as catalog:
                files += _named(lake, catalog.execute(query).fetchall())
        else:
            with _sqlite(settings, catalog_file(settings, lake)) as connection:
                files += _named(lake, _rows(connection, _NAMED.format(schema="copy.main")))
    return files


def move_catalogs(settings: Settings) -> None:
    """Tell the catalogs that exist that their files lie where the settings say."""
    for lake in LAKES:
        if not catalog_exists(settings, lake):
            continue
        if settings.catalog_url:
            with connect_catalog(settings) as catalog:
                catalog.execute(
                    f"update {metadata_schema(settings, lake)}.ducklake_metadata"
                    " set value = %s where key = 'data_path'",
                    [settings.lake_files(lake)],
                )
        else:
            _move_sqlite(settings, lake, catalog_file(settings, lake))


@contextmanager
def scratch_databases(url: str, count: int) -> Iterator[list[str]]:
    """Addresses of databases on a PostgreSQL server that are there for the block alone.

    Raises MeterhouseError where the user of ``url`` may not create databases.
    """
    import psycopg

    names = [f"meterhouse_check_{uuid.uuid4().hex}" for _ in range(count)]
    with connect_catalog(Settings(catalog_url=url)) as server:
        try:
            for name in names:
                server.execute(f"create database {name}")
        except psycopg.Error as error:
            raise MeterhouseError(
                f"a backup of PostgreSQL is checked in a database of its own, which cannot be made "
                f"({str(error).strip()}); let the user create databases, or name another server"
            ) from error
        try:
            yield [_of_database(url, name) for name in names]
        finally:
            for name in names:
                server.execute(f"drop database if exists {name} with (force)")


_NAMED = """
with folders as (
    select tables.table_id,
        case when schemas.path_is_relative then schemas.path else '!' end
        || case when tables.path_is_relative then tables.path else '!' end as folder
    from {schema}.ducklake_table as tables
    inner join {schema}.ducklake_schema as schemas on tables.schema_id = schemas.schema_id
),
files as (
    select table_id, path, path_is_relative, file_size_bytes from {schema}.ducklake_data_file
    union all
    select table_id, path, path_is_relative, file_size_bytes from {schema}.ducklake_delete_file
)
select distinct folders.folder || files.path, files.file_size_bytes
from files
inner join folders on files.table_id = folders.table_id
where files.path_is_relative and folders.folder not like '%!%'
"""


def _named(lake: Lake, rows: Sequence[tuple[Any, ...]]) -> list[LakeFile]:
    return [LakeFile(lake, str(path), int(size)) for path, size in rows]


@contextmanager
def _sqlite(settings: Settings, file: Path, *, read_only: bool = True) -> Iterator[Connection]:
    """A SQLite catalog by DuckDB's own SQLite, as ``copy``."""
    with closing(open_engine(settings.model_copy(update={"catalog_url": ""}))) as connection:
        mode = ", read_only" if read_only else ""
        connection.execute(f"attach '{_quoted(str(file))}' as copy (type sqlite{mode})")
        yield connection


def _move_sqlite(settings: Settings, lake: Lake, file: Path) -> None:
    with _sqlite(settings, file, read_only=False) as connection:
        connection.execute(
            "update copy.main.ducklake_metadata set value = ? where key = 'data_path'",
            [settings.lake_files(lake)],
        )


def _dump_catalogs(settings: Settings, target: BackupSet) -> list[LakeFile]:
    """Both catalogs as of one moment: the dump and the list of files see the same snapshot."""
    with connect_catalog(settings) as catalog, catalog.transaction():
        catalog.execute("set transaction isolation level repeatable read, read only")
        exported = catalog.execute("select pg_export_snapshot()").fetchone()
        assert exported is not None
        _dump(
            settings.catalog_url,
            target.path / CATALOG_DUMP,
            [f"--schema={_SCHEMAS}", f"--snapshot={exported[0]}"],
        )
        files: list[LakeFile] = []
        for lake in LAKES:
            schema = metadata_schema(settings, lake)
            found = catalog.execute(
                "select to_regclass(%s) is not null", [f"{schema}.ducklake_table"]
            ).fetchone()
            if found and found[0]:
                files += _named(lake, catalog.execute(_NAMED.format(schema=schema)).fetchall())
        return files


def _dump(url: str, target: Path, options: Sequence[str]) -> None:
    _run("pg_dump", url, ["--format=custom", "--no-owner", f"--file={target}", *options])


def _restore(url: str, dump: Path) -> None:
    _run(
        "pg_restore",
        url,
        ["--no-owner", "--single-transaction", "--exit-on-error", str(dump)],
    )


def _run(program: str, url: str, options: Sequence[str]) -> None:
    """Run a program of PostgreSQL; the password goes by the environment, which others cannot see.

    Raises MeterhouseError when it is missing or fails.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    found = shutil.which(program)
    if found is None:
        raise MeterhouseError(
            f"{program} is not installed; it comes with PostgreSQL's client "
            "(Debian: apt-get install postgresql-client)"
        )
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    done = subprocess.run(
        [found, f"--dbname={make_conninfo('', **parts)}", *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MeterhouseError(f"{program} failed: {done.stderr.strip()[-800:]}")


def _of_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _quoted(text: str) -> str:
    return text.replace("'", "''")
