"""How things stand: what is published, what is pending, what waits or was held back.

Published figures are read at the published snapshot, everything else at the head.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb

from warehouse.lake import Connection, attach, catalog_exists, open_engine, table_exists
from warehouse.publication import CheckResult, Publication, latest_publication
from warehouse.settings import Settings

HELD_BY_REASON = """
    select reason, count(*)
    from raw.main.usage_quarantine as held
    where not exists (
        select 1 from raw.main.usage_quarantine_release as released
        where released.quarantine_load_id = held.load_id
            and released.quarantine_line_number = held.line_number
    )
    group by reason order by reason
"""
"""Rows still in quarantine, of the raw lake's head."""

LATEST_CHECKS = """
    select max(checked_at) over (), suite, check_name, severity, is_passed, failing_rows, message
    from marts.meta.check_result
    where marts_snapshot = (
        select max_by(marts_snapshot, checked_at) from marts.meta.check_result
    )
    qualify row_number() over (partition by suite, check_name order by checked_at desc) = 1
    order by severity, suite, check_name
"""
"""The checks of the last state that was checked, of the head of marts."""


@dataclass(frozen=True)
class Trouble:
    """Something that needs a person: what it is about, and what is wrong and to be done."""

    name: str
    message: str


@dataclass(frozen=True)
class Landing:
    """What the loader knows of landing folder and sources.

    ``waiting`` files will be loaded, ``unclaimed`` ones never. ``broken_sources`` have a spec that
    cannot be used; ``absent_columns`` are those that a spec reads and a JSON log did not have.
    """

    waiting: tuple[str, ...] = ()
    unclaimed: tuple[Trouble, ...] = ()
    broken_sources: tuple[Trouble, ...] = ()
    absent_columns: tuple[Trouble, ...] = ()


@dataclass(frozen=True)
class Status:
    """How things stand. Times are aware and UTC; None means that there is no such thing yet.

    ``newest_event_at`` is of the published state, ``newest_loaded_event_at`` of all that was
    loaded. ``pending_events`` are rows of batches that are not published, corrections included.
    ``landing`` is what the loader told. ``rejected`` counts rows still in quarantine by reason.
    ``failing_checks`` are of the last state that was checked, published or not.
    """

    published_snapshot: int | None = None
    published_at: datetime | None = None
    published_raw_snapshot: int | None = None
    published_load_id: int | None = None
    newest_event_at: datetime | None = None
    newest_loaded_event_at: datetime | None = None
    last_load_at: datetime | None = None
    last_load_id: int | None = None
    pending_events: int = 0
    pending_loads: int = 0
    landing: Landing = Landing()
    rejected: dict[str, int] = field(default_factory=dict)
    checked_at: datetime | None = None
    failing_checks: tuple[CheckResult, ...] = ()

    @property
    def errors(self) -> tuple[CheckResult, ...]:
        """Failed checks that block publishing."""
        return tuple(check for check in self.failing_checks if check.is_blocking)

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """Failed checks that do not."""
        return tuple(check for check in self.failing_checks if not check.is_blocking)

    def as_dict(self) -> dict[str, Any]:
        """The status ready for JSON: times as ISO texts that end in Z, files also counted."""
        plain = {name: _plain(value) for name, value in asdict(self).items()}
        del plain["landing"]
        plain["files_waiting"] = len(self.landing.waiting)
        plain["waiting_files"] = list(self.landing.waiting)
        plain["unclaimed_files"] = [asdict(trouble) for trouble in self.landing.unclaimed]
        plain["broken_sources"] = [asdict(trouble) for trouble in self.landing.broken_sources]
        plain["absent_columns"] = [asdict(trouble) for trouble in self.landing.absent_columns]
        plain["rejected_rows"] = sum(self.rejected.values())
        return plain


def status(settings: Settings, landing: Landing = Landing()) -> Status:
    """How things stand in this home; nothing is created, also where there is nothing yet.

    ``landing`` is what ``ingest.landing.look`` found, as the loader is not known here.
    """
    has_raw = catalog_exists(settings, "raw")
    has_marts = catalog_exists(settings, "marts")
    if not has_raw and not has_marts:
        return Status(landing=landing)
    connection = open_engine(settings)
    try:
        published = None
        facts: dict[str, Any] = {}
        if has_marts:
            attach(connection, settings, "marts")
            published = latest_publication(connection)
            facts |= _published(connection, settings, published)
            facts |= _checks(connection)
        if has_raw:
            attach(connection, settings, "raw")
            facts |= _loaded(connection, published, facts.get("newest_event_at"))
        return Status(landing=landing, **facts)
    finally:
        connection.close()


def _published(
    connection: Connection, settings: Settings, published: Publication | None
) -> dict[str, Any]:
    if published is None:
        return {}
    facts = {
        "published_snapshot": published.marts_snapshot,
        "published_at": published.published_at,
        "published_raw_snapshot": published.raw_snapshot,
        "published_load_id": published.raw_load_id,
    }
    try:
        attach(connection, settings, "marts", alias="settled", snapshot=published.marts_snapshot)
        row = connection.execute(
            "select max(last_occurred_at) from settled.main.fct_usage_daily"
        ).fetchone()
    except duckdb.Error:
        return facts
    return facts | {"newest_event_at": _aware(row[0]) if row else None}


def _loaded(
    connection: Connection, published: Publication | None, newest_published: datetime | None
) -> dict[str, Any]:
    if not table_exists(connection, "raw.main.load"):
        return {}
    after = published.raw_load_id if published else 0
    events, newest = _row(
        connection,
        "select count(*), max(occurred_at) filter (where not is_withdrawn)"
        f" from raw.main.usage_event where load_id > {after}",
    )
    pending_loads, last_at, last_id = _row(
        connection,
        f"select count(*) filter (where load_id > {after} and kind in ('file', 'replay')),"
        " max(finished_at) filter (where kind in ('file', 'replay')), max(load_id)"
        " from raw.main.load",
    )
    rejected = connection.execute(HELD_BY_REASON).fetchall()
    times = [time for time in (_aware(newest), newest_published) if time is not None]
    return {
        "newest_loaded_event_at": max(times, default=None),
        "last_load_at": _aware(last_at),
        "last_load_id": last_id,
        "pending_events": events,
        "pending_loads": pending_loads,
        "rejected": dict(rejected),
    }


def _checks(connection: Connection) -> dict[str, Any]:
    if not table_exists(connection, "marts.meta.check_result"):
        return {}
    rows = connection.execute(LATEST_CHECKS).fetchall()
    results = [CheckResult(*row[1:]) for row in rows]
    return {
        "checked_at": _aware(rows[0][0]) if rows else None,
        "failing_checks": tuple(result for result in results if not result.is_passed),
    }


def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, tuple):
        return list(value)
    return value
