"""Connections to the two lakes: for writing under a lock, for reading at a snapshot or at the head.

The ``raw`` lake holds what was loaded and is written by the loader, the ``marts`` lake holds
what dbt built and is written by the builder. Each is a DuckLake: Parquet files and a catalog.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from warehouse.errors import MeterhouseError
from warehouse.extensions import are_checked, load_extension
from warehouse.locks import Lake, writer_lock
from warehouse.postgres import connect_catalog
from warehouse.settings import Settings

Connection = duckdb.DuckDBPyConnection

LAKES: tuple[Lake, ...] = ("raw", "marts")

RAW_SNAPSHOT = "METERHOUSE_RAW_SNAPSHOT"
"""Variable that pins the raw lake for a dbt process; without it, the head is read."""


def engine_config(settings: Settings) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB's configuration: memory, threads, and extensions from the wheels only."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": settings.memory,
        "temp_directory": str(settings.home / "tmp"),
    }
    if are_checked(_extensions(settings)):
        config["allow_unsigned_extensions"] = "true"
    if settings.threads:
        config["threads"] = settings.threads
    return config


def open_engine(settings: Settings) -> Connection:
    """An in-memory DuckDB that can attach lakes; nothing is attached yet."""
    connection = duckdb.connect(":memory:", config=engine_config(settings))
    prepare_engine(connection, settings)
    return connection


def prepare_engine(connection: Connection, settings: Settings) -> None:
    """Set the engine to UTC and load what attaching the lakes needs."""
    connection.execute("set timezone = 'UTC'")
    for name in _extensions(settings):
        load_extension(connection, name)


def _extensions(settings: Settings) -> tuple[str, str]:
    """What attaching the lakes needs."""
    return "ducklake", "postgres_scanner" if settings.catalog_url else "sqlite_scanner"


def metadata_schema(settings: Settings, lake: Lake) -> str:
    """The schema of a lake's catalog tables within the catalog database."""
    return f"meterhouse_{lake}" if settings.catalog_url else "main"


def catalog_exists(settings: Settings, lake: Lake) -> bool:
    """Whether the lake was ever written.

    With PostgreSQL the answer costs a connection; raises MeterhouseError when it cannot be reached.
    """
    if not settings.catalog_url:
        return catalog_file(settings, lake).exists()
    table = f"{metadata_schema(settings, lake)}.ducklake_metadata"
    with connect_catalog(settings) as catalog:
        found = catalog.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return bool(found and found[0])


def attach(
    connection: Connection,
    settings: Settings,
    lake: Lake,
    *,
    alias: str | None = None,
    read_only: bool = True,
    snapshot: int | None = None,
) -> None:
    """Attach one lake, at its head or pinned at ``snapshot``, under ``alias`` (its own name).

    Raises MeterhouseError when its files were moved.
    """
    options = [f"data_path '{_quoted(settings.lake_files(lake))}'"]
    if settings.catalog_url:
        target = f"ducklake:postgres:{settings.catalog_url}"
        options.append(f"metadata_schema '{metadata_schema(settings, lake)}'")
    else:
        target = f"ducklake:sqlite:{catalog_file(settings, lake)}"
        options.append("meta_busy_timeout 10000")
    if read_only:
        options.append("read_only")
    if snapshot is not None:
        options.append(f"snapshot_version {snapshot}")
    try:
        connection.execute(f"attach '{_quoted(target)}' as {alias or lake} ({', '.join(options)})")
    except duckdb.Error as error:
        if "does not match existing data path" not in str(error):
            raise
        raise MeterhouseError(
            f"the catalog of the {lake} lake says that its files lie elsewhere than in "
            f"{settings.lake_files(lake)}: if this home was moved, run `meterhouse relocate`; else "
            "check METERHOUSE_HOME and METERHOUSE_DATA_PATH"
        ) from error


@contextmanager
def writing(
    settings: Settings, lake: Lake, engine: Connection | None = None
) -> Iterator[Connection]:
    """A connection that may write ``lake``, alone: the lake's writer lock is held meanwhile.

    The catalog is created at the first call. ``engine``, from :func:`open_engine`, saves opening
    one; it has nothing attached before and after. Raises LakeBusy when the lock is taken.
    """
    with writer_lock(settings, lake):
        if not settings.catalog_url:
            _create_catalog_file(settings, lake)
        connection = open_engine(settings) if engine is None else _of_its_own(engine)
        try:
            attach(connection, settings, lake, read_only=False)
            try:
                yield connection
            finally:
                if engine is not None:
                    connection.execute(f"detach {lake}")
        finally:
            connection.close()


def _of_its_own(engine: Connection) -> Connection:
    """Another connection of an engine: temporary tables made on it go when it is closed."""
    connection = engine.cursor()
    connection.execute("set timezone = 'UTC'")
    return connection


def reading_head(settings: Settings, *lakes: Lake) -> Connection:
    """A connection that sees the newest committed state of the lakes, checked or not.

    What it returns must be labelled as not settled. Lakes that do not exist yet are left out.
    """
    connection = open_engine(settings)
    for lake in lakes or LAKES:
        if catalog_exists(settings, lake):
            attach(connection, settings, lake)
    return connection


def seal(connection: Connection, settings: Settings) -> None:
    """Leave a connection the files of the lakes and nothing else of the machine, for good.

    Files elsewhere, extensions and settings are refused from here on.
    """
    folders = ", ".join(f"'{_quoted(settings.lake_files(lake))}'" for lake in LAKES)
    connection.execute(f"set allowed_directories = [{folders}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def current_snapshot(connection: Connection, alias: str) -> int:
    """The newest snapshot id of an attached lake."""
    row = connection.execute(f"select id from ducklake_current_snapshot('{alias}')").fetchone()
    if row is None:
        raise MeterhouseError(f"the lake {alias} has no snapshot; run meterhouse doctor")
    return int(row[0])


def head_state(connection: Connection, settings: Settings, lake: Lake) -> Any:
    """What stays the same as long as nobody commits to an attached lake: its newest snapshot.

    A SQLite catalog is asked in its own SQL, which is three times as fast. Never through Python's
    SQLite: where one of two SQLites in a process opens a file, the other's locks on it are gone,
    and with them the memory that it shares (sqlite.org, "How To Corrupt", 2.2.1).
    """
    if settings.catalog_url:
        return current_snapshot(connection, lake)
    return connection.execute(
        f"from sqlite_query('__ducklake_metadata_{lake}',"
        " 'select snapshot_id, snapshot_time from ducklake_snapshot order by 1 desc limit 1')"
    ).fetchone()


def table_exists(connection: Connection, table: str) -> bool:
    """Whether ``catalog.schema.table`` exists on this connection."""
    catalog, schema, name = table.split(".")
    found = connection.execute(
        "select 1 from duckdb_tables()"
        " where database_name = ? and schema_name = ? and table_name = ?"
        " union all "
        "select 1 from duckdb_views()"
        " where database_name = ? and schema_name = ? and view_name = ?",
        [catalog, schema, name] * 2,
    ).fetchone()
    return found is not None


def catalog_file(settings: Settings, lake: Lake) -> Path:
    """The SQLite file that is a lake's catalog where no PostgreSQL is configured."""
    return settings.home / f"{lake}.sqlite"


def _create_catalog_file(settings: Settings, lake: Lake) -> None:
    """Make the catalog, in write-ahead mode, under another name: nobody ever opens half of one."""
    file = catalog_file(settings, lake)
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    catalog = sqlite3.connect(draft)
    catalog.execute("pragma journal_mode=wal")
    catalog.close()
    connection = open_engine(settings)
    connection.execute(
        f"attach '{_quoted(f'ducklake:sqlite:{draft}')}' as draft"
        f" (data_path '{_quoted(settings.lake_files(lake))}')"
    )
    connection.close()
    draft.rename(file)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
