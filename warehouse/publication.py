"""Write, audit, publish: builds, the results of checks, and the published pointer.

A refresh writes (a row of ``meta.build`` names the snapshot), is audited (``meta.check_result``),
and only then is published: a row of ``meta.publication`` says which snapshot of ``marts`` passed
every blocking check and up to which ``load_id`` of ``raw`` it reaches. The newest row is the
pointer. The tables lie in the marts lake, are append-only and written by the builder alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from warehouse.errors import MeterhouseError
from warehouse.lake import (
    Connection,
    attach,
    catalog_exists,
    current_snapshot,
    open_engine,
    table_exists,
)
from warehouse.pinned import attach_pinned
from warehouse.settings import Settings

_TABLES = """
create schema if not exists {lake}.meta;
create table if not exists {lake}.meta.publication (
    publication_id bigint not null,
    published_at timestamp not null,
    marts_snapshot bigint not null,
    raw_snapshot bigint not null,
    raw_load_id bigint not null
);
create table if not exists {lake}.meta.build (
    build_id bigint not null,
    built_at timestamp not null,
    marts_snapshot bigint not null,
    raw_snapshot bigint not null,
    raw_load_id bigint not null
);
create table if not exists {lake}.meta.check_result (
    checked_at timestamp not null,
    marts_snapshot bigint not null,
    raw_load_id bigint not null,
    suite varchar not null,
    check_name varchar not null,
    severity varchar not null,
    is_passed boolean not null,
    failing_rows bigint,
    message varchar not null
);
"""


@dataclass(frozen=True)
class Publication:
    """A published state: which snapshots are settled, and since when.

    ``raw_load_id`` is the highest batch that the marts hold; usage of higher batches is pending.
    Times are UTC.
    """

    publication_id: int
    published_at: datetime
    marts_snapshot: int
    raw_snapshot: int
    raw_load_id: int


@dataclass(frozen=True)
class Build:
    """What a refresh wrote, published or not. ``built_at`` is UTC."""

    build_id: int
    built_at: datetime
    marts_snapshot: int
    raw_snapshot: int
    raw_load_id: int


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check on one snapshot.

    ``severity`` is ``error`` (blocks publishing) or ``warn`` (is shown, never blocks);
    ``failing_rows`` is None where the check does not count rows.
    """

    suite: str
    check_name: str
    severity: str
    is_passed: bool
    failing_rows: int | None
    message: str

    @property
    def is_blocking(self) -> bool:
        """Whether this result forbids publishing."""
        return self.severity == "error" and not self.is_passed


def ensure_meta_tables(connection: Connection, lake: str = "marts") -> None:
    """Create the pointer and check tables on a connection that may write the marts lake."""
    if not table_exists(connection, f"{lake}.meta.check_result"):
        connection.execute(_TABLES.format(lake=lake))


def latest_publication(connection: Connection, lake: str = "marts") -> Publication | None:
    """The published pointer as seen by ``connection``, or None before the first publication."""
    found = latest_publications(connection, 1, lake)
    return found[0] if found else None


def latest_publications(
    connection: Connection, count: int, lake: str = "marts"
) -> list[Publication]:
    """The last ``count`` published states, the newest first.

    Whether there is such a table is tried, not looked up: every live figure begins with this
    question, and listing the tables of a lake takes ten times as long.
    """
    try:
        rows = connection.execute(
            "select publication_id, published_at, marts_snapshot, raw_snapshot, raw_load_id"
            f" from {lake}.meta.publication order by publication_id desc limit {count}"
        ).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return []
    return [Publication(row[0], row[1].replace(tzinfo=UTC), *row[2:]) for row in rows]


def record_build(
    connection: Connection, *, raw_snapshot: int, raw_load_id: int, built_at: datetime
) -> Build:
    """Note that the newest snapshot of ``marts`` holds a whole build. Call it under the lock
    under which was built; ``built_at`` is an aware time.
    """
    ensure_meta_tables(connection)
    marts_snapshot = current_snapshot(connection, "marts")
    before = latest_build(connection)
    build = Build(
        build_id=before.build_id + 1 if before else 1,
        built_at=built_at,
        marts_snapshot=marts_snapshot,
        raw_snapshot=raw_snapshot,
        raw_load_id=raw_load_id,
    )
    connection.execute(
        "insert into marts.meta.build values (?, ?, ?, ?, ?)",
        [build.build_id, _naive(built_at), marts_snapshot, raw_snapshot, raw_load_id],
    )
    return build


def latest_build(connection: Connection) -> Build | None:
    """The newest build, or None before the first."""
    if not table_exists(connection, "marts.meta.build"):
        return None
    row = connection.execute(
        "select build_id, built_at, marts_snapshot, raw_snapshot, raw_load_id"
        " from marts.meta.build order by build_id desc limit 1"
    ).fetchone()
    return Build(row[0], row[1].replace(tzinfo=UTC), *row[2:]) if row else None


def record_checks(
    connection: Connection,
    results: Sequence[CheckResult],
    *,
    marts_snapshot: int,
    raw_load_id: int,
    checked_at: datetime,
) -> None:
    """Append check results; ``checked_at`` is an aware time."""
    if not results:
        return
    ensure_meta_tables(connection)
    # One statement, so one snapshot of the lake: a row by itself would make one each.
    connection.execute(
        "insert into marts.meta.check_result"
        " select ?, ?, ?, unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]),"
        " unnest(?::boolean[]), unnest(?::bigint[]), unnest(?::varchar[])",
        [
            _naive(checked_at),
            marts_snapshot,
            raw_load_id,
            [result.suite for result in results],
            [result.check_name for result in results],
            [result.severity for result in results],
            [result.is_passed for result in results],
            [result.failing_rows for result in results],
            [result.message for result in results],
        ],
    )


def publish(
    connection: Connection,
    *,
    marts_snapshot: int,
    raw_snapshot: int,
    raw_load_id: int,
    published_at: datetime,
) -> Publication:
    """Move the pointer to ``marts_snapshot``; ``published_at`` is an aware time."""
    ensure_meta_tables(connection)
    before = latest_publication(connection)
    publication = Publication(
        publication_id=before.publication_id + 1 if before else 1,
        published_at=published_at,
        marts_snapshot=marts_snapshot,
        raw_snapshot=raw_snapshot,
        raw_load_id=raw_load_id,
    )
    connection.execute(
        "insert into marts.meta.publication values (?, ?, ?, ?, ?)",
        [
            publication.publication_id,
            _naive(published_at),
            marts_snapshot,
            raw_snapshot,
            raw_load_id,
        ],
    )
    return publication


def read_pointer(settings: Settings) -> Publication | None:
    """The published pointer now, or None before the first publication."""
    if not catalog_exists(settings, "marts"):
        return None
    connection = open_engine(settings)
    try:
        attach(connection, settings, "marts", alias="head")
        return latest_publication(connection, "head")
    finally:
        connection.close()


def reading_published(
    settings: Settings, publication: Publication | None = None, *, is_kept: bool = False
) -> tuple[Connection, Publication]:
    """A connection pinned at the published state, with tables of ``marts`` found by bare name.

    Both lakes are attached read-only under their own names, at the snapshots of ``publication``
    (the newest by default). A connection that is kept for many questions (``is_kept``) takes 0.1
    to 0.3 s more to open and answers each of them faster. Raises MeterhouseError before the first
    publication.
    """
    connection = open_engine(settings)
    try:
        if publication is None:
            if not catalog_exists(settings, "marts"):
                raise _nothing_published()
            attach(connection, settings, "marts", alias="head")
            publication = latest_publication(connection, "head")
            connection.execute("detach head")
            if publication is None:
                raise _nothing_published()
        if is_kept:
            attach_pinned(connection, settings, "marts", publication.marts_snapshot)
            # A second look at the files of the first rows costs more than it saves.
            connection.execute("set disabled_optimizers = 'late_materialization'")
        else:
            attach(connection, settings, "marts", snapshot=publication.marts_snapshot)
        attach(connection, settings, "raw", snapshot=publication.raw_snapshot)
        connection.execute("use marts.main")
    except (duckdb.Error, MeterhouseError):
        connection.close()
        raise
    return connection, publication


def _nothing_published() -> MeterhouseError:
    return MeterhouseError(
        "nothing is published yet: load usage with `meterhouse load`, then run `meterhouse refresh`"
    )


def _naive(moment: datetime) -> datetime:
    """The lake's timestamps are UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
