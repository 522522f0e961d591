"""The app's connections: one pinned at the published snapshot, one at the head.

They are shared by every session, so each query runs on a cursor of its own. A new publication
is noticed at the next question, which opens a connection pinned there; the old one is closed
(queries that still run on it have cursors, which outlive it).
"""

import threading
from collections.abc import Mapping
from typing import Any, Literal

import duckdb

from warehouse.lake import (
    LAKES,
    Connection,
    attach,
    catalog_exists,
    open_engine,
    table_exists,
)
from warehouse.locks import Lake
from warehouse.publication import Publication, latest_publication, reading_published
from warehouse.settings import Settings

State = Literal["published", "head"]
Rows = list[tuple[Any, ...]]


class LakeReader:
    """Answers queries at the published snapshot or at the head; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet: the lakes may not exist."""
        self.settings = settings
        self._lock = threading.RLock()
        self._head: Connection | None = None
        self._attached: set[str] = set()
        self._pinned: tuple[Publication, Connection] | None = None

    def publication(self) -> Publication | None:
        """The published pointer as it is now, or None before the first publication."""
        with self._lock:
            try:
                return latest_publication(self._at_head().cursor())
            except duckdb.Error:
                self._drop_head()
                return latest_publication(self._at_head().cursor())

    def has_lake(self, lake: Lake) -> bool:
        """Whether the lake was ever written."""
        with self._lock:
            self._at_head()
            return lake in self._attached

    def has_table(self, table: str) -> bool:
        """Whether ``catalog.schema.table`` exists at the head."""
        with self._lock:
            return table_exists(self._at_head().cursor(), table)

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        *,
        publication: Publication | None = None,
    ) -> Rows:
        """The rows of a query with named parameters, at ``publication``; without one, at the head.

        A connection that no longer answers (its snapshot expired, the store was restarted) is
        opened once more before the error is passed on.
        """
        try:
            return self._ask(sql, parameters, publication)
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.TransactionException):
            with self._lock:
                if publication is None:
                    self._drop_head()
                else:
                    self._drop_pinned()
            return self._ask(sql, parameters, publication)

    def close(self) -> None:
        """Close both connections; a later question opens them again."""
        with self._lock:
            self._drop_head()
            self._drop_pinned()

    def _ask(
        self, sql: str, parameters: Mapping[str, Any], publication: Publication | None
    ) -> Rows:
        with self._lock:
            connection = self._at_head() if publication is None else self._pinned_at(publication)
            cursor = connection.cursor()
        try:
            return cursor.execute(sql, dict(parameters) or None).fetchall()
        finally:
            cursor.close()

    def _at_head(self) -> Connection:
        if self._head is None:
            self._head = open_engine(self.settings)
        for lake in LAKES:
            if lake not in self._attached and catalog_exists(self.settings, lake):
                attach(self._head, self.settings, lake)
                self._attached.add(lake)
        return self._head

    def _pinned_at(self, publication: Publication) -> Connection:
        if self._pinned is None or self._pinned[0] != publication:
            connection, _ = reading_published(self.settings, publication)
            self._drop_pinned()
            self._pinned = (publication, connection)
        return self._pinned[1]

    def _drop_head(self) -> None:
        if self._head is not None:
            self._head.close()
        self._head = None
        self._attached.clear()

    def _drop_pinned(self) -> None:
        if self._pinned is not None:
            self._pinned[1].close()
        self._pinned = None
