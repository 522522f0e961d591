"""Everything that Data health shows the platform's staff.

Sources come from the published reporting models. Loads, rejected rows and check results are read
at the head: they are newer than what is published, and the page says so. Times are UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.gate import Gate, StaffQuestion

LOADS_SHOWN = 200
EXAMPLES_SHOWN = 3
TEXT_SHOWN = 600
STRIP_DAYS = 30


@dataclass(frozen=True)
class SourceHealth:
    """One source as published: its events, the newest of them, days without any in between."""

    source: str
    events: int
    newest_event_at: datetime | None
    last_loaded_at: datetime | None
    missing_days: int


@dataclass(frozen=True)
class SourceDay:
    """The events of one source on one UTC day."""

    source: str
    usage_date_utc: date
    events: int


@dataclass(frozen=True)
class Load:
    """One batch; read = loaded + duplicate + rejected."""

    load_id: int
    kind: str
    source: str
    path: str
    is_failed: bool
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_rejected: int
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class RejectedReason:
    """How many rows are held back for one reason and were not replayed."""

    reason: str
    rows: int
    sources: list[str]
    newest_load_id: int


@dataclass(frozen=True)
class RejectedRow:
    """An example of a rejected row; ``raw_text`` is cut at :data:`TEXT_SHOWN` characters."""

    reason: str
    source: str
    path: str
    line_number: int
    load_id: int
    detail: str
    raw_text: str
    raw_length: int


@dataclass(frozen=True)
class UndeclaredAccount:
    """An account that usage names and nobody declared."""

    account_id: str
    rows: int


@dataclass(frozen=True)
class Check:
    """The result of one check in the last refresh."""

    suite: str
    check_name: str
    severity: str
    is_passed: bool
    failing_rows: int | None
    message: str
    checked_at: datetime
    marts_snapshot: int


@dataclass(frozen=True)
class PendingLoads:
    """What was loaded after the published load."""

    loads: int
    rows_loaded: int


OPEN_ROWS = """
    select * from raw.main.usage_quarantine as held
    where not exists (
        select 1 from raw.main.usage_quarantine_release as released
        where released.quarantine_load_id = held.load_id
            and released.quarantine_line_number = held.line_number
    )
"""

SOURCES = StaffQuestion(
    SourceHealth,
    "select {columns} from marts.main.rpt_data_health_source"
    " order by newest_event_at desc nulls last, source",
)
SOURCE_DAYS = StaffQuestion(
    SourceDay,
    "select {columns} from marts.main.rpt_data_health_day"
    " where usage_date_utc > $after order by source, usage_date_utc",
)
LOADS = StaffQuestion(
    Load,
    """
    select {columns} from (
        select *, content_hash like 'failed:%' as is_failed from raw.main.load
    ) order by load_id desc limit $shown
    """,
    state="head",
)
REASONS = StaffQuestion(
    RejectedReason,
    f"""
    select {{columns}} from (
        select reason, count(*) as rows, list_sort(list(distinct source)) as sources,
            max(load_id) as newest_load_id
        from ({OPEN_ROWS}) group by reason
    ) order by rows desc, reason
    """,
    state="head",
)
EXAMPLES = StaffQuestion(
    RejectedRow,
    f"""
    select {{columns}} from (
        select reason, source, path, line_number, load_id, detail,
            left(raw_text, $text) as raw_text, length(raw_text) as raw_length,
            row_number() over (
                partition by reason order by load_id desc, line_number
            ) as position
        from ({OPEN_ROWS})
    ) where position <= $shown order by reason, position
    """,
    state="head",
)
UNDECLARED = StaffQuestion(
    UndeclaredAccount,
    f"""
    select {{columns}} from (
        select account_id, count(*) as rows from ({OPEN_ROWS})
        where reason = 'undeclared_account' and account_id is not null group by account_id
    ) order by rows desc, account_id limit $shown
    """,
    state="head",
)
CHECKS = StaffQuestion(
    Check,
    """
    with last_refresh as (
        select marts_snapshot, raw_load_id from marts.meta.check_result
        order by checked_at desc, marts_snapshot desc limit 1
    ),
    latest as (
        select result.*, row_number() over (
            partition by suite, check_name order by checked_at desc
        ) as position
        from marts.meta.check_result as result
        inner join last_refresh
            on result.marts_snapshot = last_refresh.marts_snapshot
            and result.raw_load_id = last_refresh.raw_load_id
    )
    select {columns} from latest where position = 1
    order by is_passed, severity, suite, check_name
    """,
    state="head",
)
PENDING_LOADS = StaffQuestion(
    PendingLoads,
    """
    select {columns} from (
        select count(*) as loads, coalesce(sum(rows_loaded), 0) as rows_loaded
        from raw.main.load where load_id > $raw_load_id and rows_loaded > 0
    )
    """,
    state="head",
)


@dataclass(frozen=True)
class DataHealth:
    """The figures of the page; ``sources`` and ``source_days`` are empty before publishing."""

    sources: tuple[SourceHealth, ...]
    source_days: tuple[SourceDay, ...]
    loads: tuple[Load, ...]
    reasons: tuple[RejectedReason, ...]
    examples: tuple[RejectedRow, ...]
    undeclared: tuple[UndeclaredAccount, ...]
    checks: tuple[Check, ...]
    pending: PendingLoads


def gather_data_health(gate: Gate, today: date) -> DataHealth:
    """Read the page; ``today`` is the UTC day up to which the strips of days reach."""
    published = gate.publication
    return DataHealth(
        sources=tuple(gate.ask_staff(SOURCES)) if published else (),
        source_days=(
            tuple(gate.ask_staff(SOURCE_DAYS, after=today - timedelta(days=STRIP_DAYS)))
            if published
            else ()
        ),
        loads=tuple(gate.ask_staff(LOADS, shown=LOADS_SHOWN)),
        reasons=tuple(gate.ask_staff(REASONS)),
        examples=tuple(gate.ask_staff(EXAMPLES, shown=EXAMPLES_SHOWN, text=TEXT_SHOWN)),
        undeclared=tuple(gate.ask_staff(UNDECLARED, shown=10)),
        checks=tuple(gate.ask_staff(CHECKS)) if gate.has_checks() else (),
        pending=gate.ask_staff(
            PENDING_LOADS, raw_load_id=published.raw_load_id if published else 0
        )[0],
    )


def strip_of(days: Sequence[SourceDay], source: str, today: date) -> list[tuple[date, int | None]]:
    """The last :data:`STRIP_DAYS` days of a source up to ``today``, oldest first.

    A day without events is None between days that have some, and 0 outside them.
    """
    events = {day.usage_date_utc: day.events for day in days if day.source == source}
    dates = [today - timedelta(days=back) for back in reversed(range(STRIP_DAYS))]
    used = [date for date in dates if events.get(date)]
    first, last = (used[0], used[-1]) if used else (today, today)
    return [(date, events.get(date) or (None if first < date < last else 0)) for date in dates]
