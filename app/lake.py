"""The app's connections: one at the head, and one pinned at each publication in use.

They are shared by every session, so each query runs on a cursor of its own. A new publication
is noticed at the next question, which opens a connection pinned there; an older one is closed
as soon as no query runs on it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import duckdb

from app.query_times import timed
from warehouse.errors import MeterhouseError
from warehouse.lake import (
    LAKES,
    Connection,
    attach,
    catalog_exists,
    head_state,
    open_engine,
    table_exists,
)
from warehouse.locks import Lake
from warehouse.publication import Publication, latest_publication, reading_published
from warehouse.settings import Settings

State = Literal["published", "head"]
Rows = list[tuple[Any, ...]]
Answer = TypeVar("Answer")

PINS = 2
"""Publications kept open: the newest, and the one that a page may be in the middle of."""

KEPT_ANSWERS = 300
"""Answers of a published state that are kept, the last asked for."""

KEPT_ROWS = 1_000
"""Rows of the longest answer that is kept."""


class _Shared:
    """A connection and how many queries run on it; once retired it closes with the last of them.

    Closing a connection closes its cursors too, so it has to wait for them. Guarded by the lock
    of its reader.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._queries = 0
        self._is_retired = False

    def begin(self) -> Connection:
        self._queries += 1
        return self.connection.cursor()

    def end(self, cursor: Connection) -> None:
        cursor.close()
        self._queries -= 1
        self._close_if_done()

    def retire(self) -> None:
        self._is_retired = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_retired and not self._queries:
            self.connection.close()


class LakeReader:
    """Answers queries at the published snapshot or at the head; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet: the lakes may not exist."""
        self.settings = settings
        self._lock = threading.RLock()
        self._head: _Shared | None = None
        self._attached: set[str] = set()
        self._pins: dict[Publication, _Shared] = {}
        self._tables: set[str] = set()
        self._kept: dict[Lake, tuple[Any, dict[str, Any]]] = {}
        self._settled: dict[Publication, OrderedDict[Any, Rows]] = {}
        self.answers_kept = 0
        self.answers_asked = 0

    def publication(self) -> Publication | None:
        """The published pointer as it is now, or None before the first publication."""
        try:
            return self._latest()
        except duckdb.Error:
            with self._lock:
                self._drop_head()
            return self._latest()

    def open_published(self) -> None:
        """Open the connection to what is published now, which the next question then finds."""
        publication = self.publication()
        if publication is not None:
            with self._lock:
                self._pinned_at(publication)

    def has_lake(self, lake: Lake) -> bool:
        """Whether the lake was ever written."""
        with self._lock:
            self._at_head()
            return lake in self._attached

    def has_table(self, table: str) -> bool:
        """Whether ``catalog.schema.table`` exists at the head; no table ever goes away again."""
        if table in self._tables:
            return True
        with self._cursor(None) as cursor:
            is_there = table_exists(cursor, table)
        if is_there:
            self._tables.add(table)
        return is_there

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        *,
        publication: Publication | None = None,
    ) -> Rows:
        """The rows of a query with named parameters, at ``publication``; without one, at the head.

        A connection that no longer answers (its snapshot expired, the store was restarted) is
        opened once more before the error is passed on. Raises MeterhouseError where what is
        published lacks a model or column, because another version built it.
        """
        try:
            return self._ask(sql, parameters, publication)
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.TransactionException):
            with self._lock:
                if publication is None:
                    self._drop_head()
                else:
                    self._drop_pin(publication)
            return self._ask(sql, parameters, publication)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            if publication is None:
                raise
            raise MeterhouseError(
                "what is published was built by another version of Meterhouse and lacks what is "
                "asked for; `meterhouse refresh` builds it anew"
            ) from error

    def settled_rows(
        self, sql: str, parameters: Mapping[str, str], publication: Publication
    ) -> Rows:
        """The rows of a query at ``publication``, which are the same whenever they are asked for.

        The last :data:`KEPT_ANSWERS` are kept as long as the connection, but none that found
        nothing or more than :data:`KEPT_ROWS`. They are shared: leave them as they are.
        """
        key = sql, tuple(sorted(parameters.items()))
        with self._lock:
            kept = self._settled.get(publication, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        found = self.rows(sql, parameters, publication=publication)
        with self._lock:
            if 0 < len(found) <= KEPT_ROWS and publication in self._pins:
                kept = self._settled.setdefault(publication, OrderedDict())
                kept[key] = found
                if len(kept) > KEPT_ANSWERS:
                    kept.popitem(last=False)
        return found

    def head_rows(self, lake: Lake, sql: str) -> Rows:
        """The rows of a query at the head that reads nothing but ``lake``.

        They are kept as long as nobody commits to it.
        """
        try:
            return self._while_unchanged(lake, sql, lambda cursor: cursor.execute(sql).fetchall())
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.TransactionException):
            with self._lock:
                self._drop_head()
            return self._while_unchanged(lake, sql, lambda cursor: cursor.execute(sql).fetchall())

    def close(self) -> None:
        """Close every connection; a later question opens them again."""
        with self._lock:
            self._drop_head()
            for publication in list(self._pins):
                self._drop_pin(publication)

    def _latest(self) -> Publication | None:
        return self._while_unchanged("marts", "publication", latest_publication)

    def _while_unchanged(self, lake: Lake, key: str, ask: Callable[[Connection], Answer]) -> Answer:
        """What ``ask`` found at the head the last time, unless somebody has committed since.

        The state is looked at first: an answer may be newer than it says, never older.
        """
        with timed("head"), self._cursor(None) as cursor:
            if lake not in self._attached:
                return ask(cursor)
            state = head_state(cursor, self.settings, lake)
            with self._lock:
                before, answers = self._kept.get(lake, (None, {}))
                if before != state:
                    answers = {}
                    self._kept[lake] = state, answers
            if key in answers:
                self.answers_kept += 1
            else:
                self.answers_asked += 1
                answers[key] = ask(cursor)
            answer: Answer = answers[key]
            return answer

    def _ask(
        self, sql: str, parameters: Mapping[str, Any], publication: Publication | None
    ) -> Rows:
        with (
            timed("published" if publication else "head"),
            self._cursor(publication) as cursor,
        ):
            return cursor.execute(sql, dict(parameters) or None).fetchall()

    @contextmanager
    def _cursor(self, publication: Publication | None) -> Iterator[Connection]:
        with self._lock:
            shared = self._at_head() if publication is None else self._pinned_at(publication)
            cursor = shared.begin()
        try:
            yield cursor
        finally:
            with self._lock:
                shared.end(cursor)

    def _at_head(self) -> _Shared:
        if self._head is None:
            self._head = _Shared(open_engine(self.settings))
        for lake in LAKES:
            if lake not in self._attached and catalog_exists(self.settings, lake):
                attach(self._head.connection, self.settings, lake)
                self._attached.add(lake)
        return self._head

    def _pinned_at(self, publication: Publication) -> _Shared:
        if publication not in self._pins:
            connection, _ = reading_published(self.settings, publication, is_kept=True)
            self._pins[publication] = _Shared(connection)
            for oldest in sorted(self._pins, key=lambda pinned: pinned.publication_id)[:-PINS]:
                if oldest != publication:
                    self._drop_pin(oldest)
        return self._pins[publication]

    def _drop_head(self) -> None:
        if self._head is not None:
            self._head.retire()
        self._head = None
        self._kept.clear()
        self._attached.clear()
        self._tables.clear()

    def _drop_pin(self, publication: Publication) -> None:
        self._settled.pop(publication, None)
        if publication in self._pins:
            self._pins.pop(publication).retire()
