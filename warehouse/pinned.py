"""Attaching a lake at one snapshot for many questions: by a copy of its catalog.

DuckLake asks its catalog for files and their statistics at every query, and DuckDB reads a SQLite
catalog without indexes: 20 to 30 ms a table with a thousand files. A snapshot never changes, so
whoever stays on one copies the catalog once, into DuckDB's own format, and asks the copy.
"""

import uuid
from pathlib import Path

from warehouse.lake import Connection, attach, catalog_file
from warehouse.locks import Lake
from warehouse.settings import Settings
from warehouse.sqlite_copy import copy_sqlite

_TYPES = {
    "boolean": "boolean",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "int128": "hugeint",
    "uint8": "utinyint",
    "uint16": "usmallint",
    "uint32": "uinteger",
    "uint64": "ubigint",
    "float32": "float",
    "float64": "double",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "varchar": "varchar",
    "json": "varchar",
}
"""DuckLake's names of column types whose inlined rows are copied, and DuckDB's."""


def attach_pinned(connection: Connection, settings: Settings, lake: Lake, snapshot: int) -> None:
    """Attach a lake at ``snapshot`` under its own name, by a copy of its catalog where that helps.

    The catalog itself is asked where it is PostgreSQL, and where small changes wait in it
    ("inlined") with columns of other types than :data:`_TYPES`.
    """
    if settings.catalog_url:
        attach(connection, settings, lake, snapshot=snapshot)
        return
    folder = settings.home / "tmp" / "catalogs"
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    source, copy = folder / f"{name}.sqlite", folder / f"{name}.duckdb"
    try:
        copy_sqlite(catalog_file(settings, lake), source)
        if _copied(connection, source, copy):
            connection.execute(
                f"attach '{_quoted(f'ducklake:{copy}')}' as {lake} ("
                f"data_path '{_quoted(settings.lake_files(lake))}', read_only,"
                f" snapshot_version {int(snapshot)})"
            )
        else:
            attach(connection, settings, lake, snapshot=snapshot)
    finally:
        for file in folder.glob(f"{name}.*"):
            file.unlink(missing_ok=True)


def _copied(connection: Connection, source: Path, copy: Path) -> bool:
    """Copy the catalog's tables; False where one has inlined columns of a type not known here."""
    connection.execute(
        f"attach '{_quoted(str(source))}' as catalog_source (type sqlite, read_only)"
    )
    connection.execute(f"attach '{_quoted(str(copy))}' as catalog_copy")
    try:
        inlined = _inlined_columns(connection)
        if any(kind is None for _, _, kind in inlined):
            return False
        connection.execute("begin")
        connection.execute("copy from database catalog_source to catalog_copy")
        for table, column, kind in inlined:
            connection.execute(
                f'alter table catalog_copy."{table}" alter "{_doubled(column)}" type {kind}'
            )
        connection.execute("commit")
        return True
    finally:
        connection.execute("detach catalog_source")
        connection.execute("detach catalog_copy")


def _inlined_columns(connection: Connection) -> list[tuple[str, str, str | None]]:
    """(table of inlined rows, its column, DuckDB's type of it or None).

    SQLite knows few types: decimals and times lie in it as texts.
    """
    rows = connection.execute(
        """
        select stored.table_name, stored.column_name, list(distinct columns.column_type)
        from catalog_source.ducklake_inlined_data_tables as inlined
        inner join duckdb_columns() as stored
            on stored.database_name = 'catalog_source'
            and stored.table_name = inlined.table_name
            and stored.column_name not in ('row_id', 'begin_snapshot', 'end_snapshot')
        left join catalog_source.ducklake_column as columns
            on inlined.table_id = columns.table_id
            and stored.column_name = columns.column_name
        group by stored.table_name, stored.column_name
        """
    ).fetchall()
    return [(table, column, _type(kinds)) for table, column, kinds in rows]


def _type(names: list[str | None]) -> str | None:
    """DuckDB's type of a column that always had one type, else None."""
    if len(names) != 1 or names[0] is None:
        return None
    return names[0] if names[0].startswith("decimal(") else _TYPES.get(names[0])


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _doubled(name: str) -> str:
    return name.replace('"', '""')
