"""Upkeep of both lakes: compaction, expiry of old snapshots, removal of files nobody needs.

Each lake is tidied under its writer's lock, so that no writer is at work meanwhile; readers go on.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from warehouse.lake import (
    LAKES,
    Connection,
    catalog_exists,
    current_snapshot,
    reading_head,
    writing,
)
from warehouse.leases import Lease, leases, remove_stale_leases
from warehouse.locks import Lake
from warehouse.publication import Publication, latest_publications
from warehouse.settings import Settings

FILE_MARGIN = timedelta(days=1)
"""A file that nobody needs any more stays so long: a query that began before may still read it,
and a file without an owner may be one that is being written."""


@dataclass(frozen=True)
class LakeUpkeep:
    """What was done to one lake."""

    lake: str
    rows_flushed: int
    files_merged: int
    snapshots_expired: int
    snapshots_kept: int
    old_files_removed: int
    orphaned_files_removed: int


@dataclass(frozen=True)
class UpkeepReport:
    """What was done to both lakes, and how many leases of dead readers were removed."""

    lakes: tuple[LakeUpkeep, ...]
    stale_leases_removed: int

    def as_dict(self) -> dict[str, Any]:
        """The report ready for JSON."""
        return asdict(self)


def tidy(settings: Settings, now: datetime | None = None) -> UpkeepReport:
    """Tidy both lakes, those that exist.

    Snapshots older than ``settings.snapshot_days`` expire, but for the newest, the published one,
    the one published before and any that a reader holds a lease on. Raises MeterhouseError when a
    lake's lock is taken for too long.
    """
    now = now or datetime.now(UTC)
    removed = remove_stale_leases(settings, now)
    done = tuple(
        _tidy_lake(settings, lake, now) for lake in LAKES if catalog_exists(settings, lake)
    )
    return UpkeepReport(done, removed)


def snapshots_to_expire(
    snapshots: Iterable[tuple[int, datetime]], spared: Collection[int], before: datetime
) -> list[int]:
    """Ids of the snapshots made before a time, without those spared and without the newest.

    ``snapshots`` are pairs of an id and an aware time.
    """
    known = sorted(snapshots)
    return [number for number, made_at in known[:-1] if made_at < before and number not in spared]


def spared_snapshots(settings: Settings, lake: Lake, now: datetime) -> set[int]:
    """Snapshots of a lake that must stay: the last two published ones and those leased."""
    marts = reading_head(settings, "marts")
    try:
        published = latest_publications(marts, 2) if catalog_exists(settings, "marts") else []
    finally:
        marts.close()
    live, _ = leases(settings, now)
    states: list[Publication | Lease] = [*published, *live]
    if lake == "marts":
        return {state.marts_snapshot for state in states}
    return {state.raw_snapshot for state in states}


def _tidy_lake(settings: Settings, lake: Lake, now: datetime) -> LakeUpkeep:
    until = f"older_than => timestamptz '{(now - FILE_MARGIN).isoformat()}'"
    with writing(settings, lake) as connection:
        flushed = _call(connection, f"ducklake_flush_inlined_data('{lake}')", "rows_flushed")
        merged = _call(connection, f"ducklake_merge_adjacent_files('{lake}')", "files_processed")
        expired = _expire(connection, settings, lake, now)
        kept = len(_snapshots(connection, lake))
        old = _call(connection, f"ducklake_cleanup_old_files('{lake}', {until})")
        orphaned = _call(connection, f"ducklake_delete_orphaned_files('{lake}', {until})")
        return LakeUpkeep(lake, flushed, merged, expired, kept, old, orphaned)


def _expire(connection: Connection, settings: Settings, lake: Lake, now: datetime) -> int:
    snapshots = _snapshots(connection, lake)
    spared = spared_snapshots(settings, lake, now) | {current_snapshot(connection, lake)}
    before = now - timedelta(days=settings.snapshot_days)
    expired = snapshots_to_expire(snapshots, spared, before)
    if expired:
        listed = ", ".join(map(str, expired))
        return _call(
            connection, f"ducklake_expire_snapshots('{lake}', versions => [{listed}]::ubigint[])"
        )
    return 0


def _snapshots(connection: Connection, lake: Lake) -> list[tuple[int, datetime]]:
    return connection.execute(
        f"select snapshot_id, snapshot_time from ducklake_snapshots('{lake}')"
    ).fetchall()


def _call(connection: Connection, function: str, summed: str | None = None) -> int:
    """Call an upkeep function; returns the sum of a column of its result, or its rows.

    It must be called, not selected from: what is selected is never committed.
    """
    result = connection.execute(f"call {function}")
    names = [column[0] for column in result.description or ()]
    rows = result.fetchall()
    return sum(row[names.index(summed)] for row in rows) if summed else len(rows)
