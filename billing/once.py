"""Inserting a row that can exist only once, whoever tries it and however often."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_once(
    connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], unique: str
) -> sa.Row[Any] | None:
    """Insert a row unless one with the same value of the column ``unique`` is there.

    Returns the new row as it was stored, or None where there was one already.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(table)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[table.c[unique]])
        .returning(table)
    )
    return connection.execute(statement).one_or_none()
