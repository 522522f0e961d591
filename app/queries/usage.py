"""Everything the Usage page shows of a selection of one account's events.

Credits are Decimals as the marts hold them, times of events UTC without a zone, days and hours
those of the account. What daily sums can answer is asked of them; events are read for the days
that a page needs, and wherever tags, texts or hours are asked for.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.gate import AccountQuestion, AccountReader, Gate, SharedQuestion
from warehouse.usage.selection import (
    Condition,
    Dimension,
    Selection,
    Sort,
    local_hour,
    order_of,
)

PAGE_SIZE = 50
GROUPS_SHOWN = 200
PENDING_SHOWN = 50
TAG_SETS_READ = 2000
HOURLY_DAYS = 2
"""A range of so many days or fewer is drawn by hours."""

ZERO = Decimal(0)


@dataclass(frozen=True)
class Totals:
    """Sums of events. ``provider_cost_usd`` is None when no event is priced."""

    events: int
    failed_events: int
    unrated_events: int
    unpriced_events: int
    credits: Decimal
    total_tokens: int
    execution_ms: Decimal
    provider_cost_usd: Decimal | None


@dataclass(frozen=True)
class DayTotals(Totals):
    """Sums of one of the account's days."""

    usage_date: date


@dataclass(frozen=True)
class QuarterTotals(Totals):
    """Sums of the quarter of an hour that begins at ``starts_at``, UTC without a zone."""

    starts_at: datetime


@dataclass(frozen=True)
class Point:
    """A bar of the chart: the day or hour that begins at ``starts_at``, aware, account's zone."""

    starts_at: datetime
    totals: Totals


@dataclass(frozen=True)
class UsageSummary:
    """What stands above the table.

    ``previous`` are the same filters in the period that they are compared with. ``points`` and
    ``previous_points`` are days, or hours where ``is_hourly``, those without usage included.
    """

    selection: Selection
    totals: Totals
    previous: Totals
    is_hourly: bool
    points: tuple[Point, ...]
    previous_points: tuple[Point, ...]
    days: tuple[DayTotals, ...]


@dataclass(frozen=True)
class EventRow:
    """An event as the table shows it; (source, event_id, usage_date_utc) opens it."""

    source: str
    event_id: str
    usage_date_utc: date
    occurred_at: datetime
    agent_id: str
    category: str
    model: str
    status: str
    rating_status: str
    execution_ms: Decimal | None
    credits: Decimal | None
    total_tokens: int | None


@dataclass(frozen=True)
class EventPage:
    """Page ``number``, from 1, of ``pages``; ``events`` are those of all pages together."""

    rows: tuple[EventRow, ...]
    number: int
    pages: int
    events: int


@dataclass(frozen=True)
class EventDetail:
    """All that is known of one event; the reporting model describes each field."""

    source: str
    event_id: str
    revision: int
    load_id: int
    line_number: int
    agent_id: str
    session_id: str | None
    request_hash: str | None
    category: str
    model: str
    status: str
    rating_status: str
    provider_cost_status: str | None
    tags: str | None
    execution_ms: Decimal | None
    logged_credits: Decimal | None
    card_credits: Decimal | None
    credits: Decimal | None
    exposure_low_credits: Decimal | None
    exposure_high_credits: Decimal | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    provider_cost_usd: Decimal | None
    usage_date_utc: date
    usage_date: date
    occurred_at: datetime
    load_kind: str | None
    load_path: str | None
    loaded_at: datetime | None
    card_model: str | None
    card_starts_at: datetime | None
    call_credits: Decimal | None
    second_credits: Decimal | None
    input_token_credits: Decimal | None
    cache_read_token_credits: Decimal | None
    cache_write_token_credits: Decimal | None
    output_token_credits: Decimal | None
    price_provider: str | None
    price_model: str | None
    price_release: str | None
    price_starts_at: datetime | None
    price_tier_start: int | None
    input_usd_per_mtok: Decimal | None
    cache_read_usd_per_mtok: Decimal | None
    cache_write_usd_per_mtok: Decimal | None
    output_usd_per_mtok: Decimal | None


@dataclass(frozen=True)
class GroupRow:
    """Sums of one group. A key is text, a date for a day, an int from 0 to 23 for an hour."""

    first_key: Any
    second_key: Any
    groups: int
    events: int
    failed_events: int
    unrated_events: int
    credits: Decimal
    total_tokens: int


@dataclass(frozen=True)
class Group:
    """A group as shown; ``share`` is its part of the selection's credits, from 0 to 1."""

    keys: tuple[Any, ...]
    events: int
    failed_events: int
    unrated_events: int
    credits: Decimal
    total_tokens: int
    share: Decimal


@dataclass(frozen=True)
class Groups:
    """The selection by one or two dimensions.

    At most :data:`GROUPS_SHOWN` ``rows``; ``rest`` sums the ``rest_groups`` others (None without).
    Rows and rest together are ``totals``.
    """

    dimensions: tuple[Dimension, ...]
    rows: tuple[Group, ...]
    rest: Group | None
    rest_groups: int
    totals: Totals


@dataclass(frozen=True)
class FacetRow:
    """Usage of one value of one of four dimensions; the other three are None."""

    agent_id: str | None
    category: str | None
    model: str | None
    status: str | None
    events: int
    credits: Decimal


@dataclass(frozen=True)
class Option:
    """A value that can be filtered by, with its usage in the period."""

    value: str
    events: int
    credits: Decimal


@dataclass(frozen=True)
class Facets:
    """What the period has to filter by, the most used first, whatever else is filtered."""

    agents: tuple[Option, ...]
    categories: tuple[Option, ...]
    models: tuple[Option, ...]
    statuses: tuple[Option, ...]


@dataclass(frozen=True)
class TagSet:
    """Events that have exactly the same tags, a JSON object."""

    tags: str
    events: int


@dataclass(frozen=True)
class PendingEvent:
    """An event that is not settled yet. Credits are those of the log, None where it gives none."""

    source: str
    event_id: str
    revision: int
    load_id: int
    line_number: int
    occurred_at: datetime
    agent_id: str
    category: str
    model: str
    status: str
    execution_ms: Decimal | None
    credits: Decimal | None


@dataclass(frozen=True)
class PendingTotals:
    """How much is not settled; ``logged_credits`` is None when no log gives any."""

    events: int
    logged_credits: Decimal | None


@dataclass(frozen=True)
class PendingEvents:
    """The newest :data:`PENDING_SHOWN` events that are not settled, and how many there are."""

    rows: tuple[PendingEvent, ...]
    totals: PendingTotals


@dataclass(frozen=True)
class CategoryName:
    """A category for people."""

    category: str
    label: str
    sort_order: int


@dataclass(frozen=True)
class ModelName:
    """A model for people."""

    model: str
    model_name: str
    provider: str | None


@dataclass(frozen=True)
class Names:
    """What categories and models are called, by their keys."""

    categories: Mapping[str, CategoryName]
    models: Mapping[str, ModelName]


_SUMS_OF_DAYS = {
    "events": "cast(coalesce(sum(events), 0) as bigint)",
    "failed_events": "cast(coalesce(sum(events) filter (where status <> 'ok'), 0) as bigint)",
    "unrated_events": "cast(coalesce(sum(unrated_events), 0) as bigint)",
    "unpriced_events": "cast(coalesce(sum(unpriced_events), 0) as bigint)",
    "credits": "cast(coalesce(sum(credits), 0) as decimal(38, 9))",
    "total_tokens": "cast(coalesce(sum(total_tokens), 0) as bigint)",
    "execution_ms": "cast(coalesce(sum(execution_ms), 0) as decimal(38, 3))",
    "provider_cost_usd": "cast(sum(provider_cost_usd) as decimal(38, 12))",
}
_SUMS_OF_EVENTS = _SUMS_OF_DAYS | {
    "events": "count(*)",
    "failed_events": "count(*) filter (where status <> 'ok')",
    "unrated_events": "count(*) filter (where rating_status = 'unrated')",
    "unpriced_events": (
        "count(*) filter (where provider_cost_status in ('unknown_model', 'no_price'))"
    ),
}
_QUARTER = "time_bucket(interval '15 minutes', occurred_at)"
_KEYS = {
    Dimension.AGENT: "agent_id",
    Dimension.CATEGORY: "category",
    Dimension.MODEL: "model",
    Dimension.DAY: "usage_date",
    Dimension.HOUR: local_hour("time_zone"),
}

DAYS = AccountQuestion(
    "rpt_usage_daily", DayTotals, group_by="usage_date", order="usage_date", columns=_SUMS_OF_DAYS
)
EVENT_DAYS = AccountQuestion(
    "rpt_usage_event", DayTotals, group_by="usage_date", order="usage_date", columns=_SUMS_OF_EVENTS
)
QUARTERS = AccountQuestion(
    "rpt_usage_event",
    QuarterTotals,
    group_by=_QUARTER,
    order=_QUARTER,
    columns=_SUMS_OF_EVENTS | {"starts_at": _QUARTER},
)
EVENTS = AccountQuestion("rpt_usage_event", EventRow)
EVENT = AccountQuestion(
    "rpt_usage_event_detail",
    EventDetail,
    where="source = $source and event_id = $event_id and usage_date_utc = $usage_date_utc",
)
FACETS = AccountQuestion(
    "rpt_usage_daily",
    FacetRow,
    group_by="grouping sets ((agent_id), (category), (model), (status))",
    order="events desc, credits desc, agent_id, category, model, status",
    columns={"events": _SUMS_OF_DAYS["events"], "credits": _SUMS_OF_DAYS["credits"]},
)
TAG_SETS = AccountQuestion(
    "rpt_usage_event",
    TagSet,
    group_by="tags",
    order="events desc, tags",
    limit=TAG_SETS_READ,
    columns={"events": "count(*)"},
)
PENDING_EVENTS = AccountQuestion(
    "raw.main.usage_event",
    PendingEvent,
    order="occurred_at desc, source, event_id, revision desc",
    limit=PENDING_SHOWN,
    state="head",
    columns={"model": "coalesce(model, '(none)')"},
)
PENDING_TOTALS = AccountQuestion(
    "raw.main.usage_event",
    PendingTotals,
    state="head",
    columns={"events": "count(*)", "logged_credits": "sum(credits)"},
)
CATEGORY_NAMES = SharedQuestion(CategoryName, "rpt_usage_category", order="sort_order")
MODEL_NAMES = SharedQuestion(ModelName, "rpt_usage_model", order="model")


def gather_summary(
    reader: AccountReader, selection: Selection, previous: Selection | None = None
) -> UsageSummary:
    """Totals of the selection and of a period before it, and the bars of the chart.

    ``previous`` is an earlier selection with the same filters; as many days just before by default.
    """
    previous = previous or selection.previous()
    found = _days(reader, replace(selection, first=previous.first))
    days = tuple(day for day in found if day.usage_date >= selection.first)
    days_before = tuple(day for day in found if day.usage_date < previous.until)
    is_hourly = selection.days <= HOURLY_DAYS
    zone = _zone(reader)
    return UsageSummary(
        selection=selection,
        totals=added(days),
        previous=added(days_before),
        is_hourly=is_hourly,
        points=(
            hourly_points(_quarters(reader, selection), selection, zone)
            if is_hourly
            else daily_points(days, selection, zone)
        ),
        previous_points=(
            hourly_points(_quarters(reader, previous), previous, zone)
            if is_hourly
            else daily_points(days_before, previous, zone)
        ),
        days=days,
    )


def gather_page(
    reader: AccountReader,
    summary: UsageSummary,
    *,
    sort: Sort = Sort.TIME,
    is_descending: bool = True,
    number: int = 1,
    size: int = PAGE_SIZE,
) -> EventPage:
    """A page of the selection's events; ``number`` is brought into the range of pages."""
    events = summary.totals.events
    pages = max(1, -(-events // size))
    number = min(max(number, 1), pages)
    offset = (number - 1) * size
    selection = summary.selection
    if not events:
        return EventPage((), 1, 1, 0)
    if sort is Sort.TIME:
        selection, offset = days_of_page(
            summary.days, selection, offset, size, is_descending=is_descending
        )
    question = replace(
        _where(EVENTS, selection.of_events()),
        order=order_of(sort, is_descending=is_descending),
        limit=size,
        offset=offset,
    )
    rows = reader.ask(question, **selection.of_events().parameters)
    return EventPage(tuple(rows), number, pages, events)


def gather_groups(
    reader: AccountReader,
    selection: Selection,
    totals: Totals,
    dimensions: Sequence[Dimension],
) -> Groups:
    """The selection by one or two dimensions; ``totals`` are those of the selection.

    Days and hours that come first are in their order, else the groups with the most credits.
    Raises ValueError unless there are one or two different dimensions.
    """
    if not 1 <= len(dimensions) <= 2 or len(set(dimensions)) != len(dimensions):
        raise ValueError("group by one or two different dimensions")
    from_sums = selection.is_answered_by_sums and Dimension.HOUR not in dimensions
    condition = selection.of_days() if from_sums else selection.of_events()
    sums = _SUMS_OF_DAYS if from_sums else _SUMS_OF_EVENTS
    by = [_KEYS[dimension] for dimension in dimensions]
    by_time = dimensions[0] in (Dimension.DAY, Dimension.HOUR)
    names = ["first_key", "second_key"][: len(by)]
    question = AccountQuestion(
        "rpt_usage_daily" if from_sums else "rpt_usage_event",
        GroupRow,
        where=condition.sql,
        group_by=", ".join(by),
        order=", ".join([*(names[:1] if by_time else []), "credits desc", "events desc", *names]),
        limit=GROUPS_SHOWN,
        columns={
            **{item.name: sums[item.name] for item in fields(GroupRow) if item.name in sums},
            "first_key": by[0],
            "second_key": by[1] if len(by) == 2 else "null",
            "groups": "count(*) over ()",
        },
    )
    parameters = dict(condition.parameters)
    if Dimension.HOUR in dimensions:
        parameters["time_zone"] = reader.account.time_zone
    found = reader.ask(question, **parameters)
    rows = tuple(_group(row, len(by), totals) for row in found)
    rest_groups = found[0].groups - len(found) if found else 0
    return Groups(
        dimensions=tuple(dimensions),
        rows=rows,
        rest=_rest(rows, totals) if rest_groups else None,
        rest_groups=rest_groups,
        totals=totals,
    )


def gather_event(
    reader: AccountReader, source: str, event_id: str, usage_date_utc: date
) -> EventDetail | None:
    """One event with all its fields, or None if this account has no such event on that UTC day."""
    found = reader.ask(EVENT, source=source, event_id=event_id, usage_date_utc=usage_date_utc)
    return found[0] if found else None


def gather_facets(reader: AccountReader, first: date, until: date) -> Facets:
    """What the account's days ``first`` <= day < ``until`` have to filter by."""
    period = Selection(first, until)
    rows = reader.ask(_where(FACETS, period.of_days()), **period.of_days().parameters)
    return Facets(
        *(
            tuple(
                Option(getattr(row, column), row.events, row.credits)
                for row in rows
                if getattr(row, column) is not None
            )
            for column in ("agent_id", "category", "model", "status")
        )
    )


def gather_tags(
    reader: AccountReader, first: date, until: date
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Keys of tags in the period, each with its values and their events, most used first.

    Of more than :data:`TAG_SETS_READ` different sets of tags the most frequent are looked at.
    """
    condition = Selection(first, until).of_events()
    question = _where(TAG_SETS, condition)
    rows = reader.ask(
        replace(question, where=f"{question.where} and tags is not null"), **condition.parameters
    )
    return tag_values(rows)


def gather_pending_events(
    reader: AccountReader, selection: Selection, raw_load_id: int
) -> PendingEvents:
    """What of the selection arrived after the published load, read at the head."""
    zone = _zone(reader)
    condition = selection.of_raw_events(
        _utc_midnight(selection.first, zone), _utc_midnight(selection.until, zone)
    )
    above = f"load_id > {int(raw_load_id)} and not is_withdrawn and {condition.sql}"
    totals = reader.ask(replace(PENDING_TOTALS, where=above), **condition.parameters)[0]
    rows = (
        reader.ask(replace(PENDING_EVENTS, where=above), **condition.parameters)
        if totals.events
        else []
    )
    return PendingEvents(tuple(rows), totals)


def gather_names(gate: Gate) -> Names:
    """What categories and models are called."""
    return Names(
        categories={row.category: row for row in gate.ask_shared(CATEGORY_NAMES)},
        models={row.model: row for row in gate.ask_shared(MODEL_NAMES)},
    )


def added(parts: Sequence[Totals]) -> Totals:
    """The sum of totals; nothing is known of the provider's cost when no part knows any."""
    costs = [part.provider_cost_usd for part in parts if part.provider_cost_usd is not None]
    return Totals(
        events=sum(part.events for part in parts),
        failed_events=sum(part.failed_events for part in parts),
        unrated_events=sum(part.unrated_events for part in parts),
        unpriced_events=sum(part.unpriced_events for part in parts),
        credits=sum((part.credits for part in parts), ZERO),
        total_tokens=sum(part.total_tokens for part in parts),
        execution_ms=sum((part.execution_ms for part in parts), ZERO),
        provider_cost_usd=sum(costs, ZERO) if costs else None,
    )


def part_of(totals: Totals, part: Decimal) -> Totals:
    """A part, from 0 to 1, of totals; counts are rounded half up."""

    def count(value: int) -> int:
        return int((value * part).quantize(Decimal(1), ROUND_HALF_UP))

    cost = totals.provider_cost_usd
    return Totals(
        events=count(totals.events),
        failed_events=count(totals.failed_events),
        unrated_events=count(totals.unrated_events),
        unpriced_events=count(totals.unpriced_events),
        credits=totals.credits * part,
        total_tokens=count(totals.total_tokens),
        execution_ms=totals.execution_ms * part,
        provider_cost_usd=None if cost is None else cost * part,
    )


def daily_points(
    days: Sequence[DayTotals], selection: Selection, zone: ZoneInfo
) -> tuple[Point, ...]:
    """A point for each day of the selection."""
    found = {day.usage_date: day for day in days}
    nothing = added([])
    dates = [selection.first + timedelta(days=ahead) for ahead in range(selection.days)]
    return tuple(
        Point(datetime.combine(day, time(), zone), found.get(day, nothing)) for day in dates
    )


def hourly_points(
    quarters: Sequence[QuarterTotals], selection: Selection, zone: ZoneInfo
) -> tuple[Point, ...]:
    """A point for each hour of the selection on the account's clock.

    Zones differ from UTC by quarters of an hour, hence quarters are put together here.
    """
    parts: dict[datetime, list[Totals]] = {}
    hour = _utc_midnight(selection.first, zone).replace(tzinfo=UTC)
    end = _utc_midnight(selection.until, zone).replace(tzinfo=UTC)
    while hour < end:
        parts[_hour_of(hour, zone)] = []
        hour += timedelta(minutes=15)
    for quarter in quarters:
        parts.setdefault(_hour_of(quarter.starts_at.replace(tzinfo=UTC), zone), []).append(quarter)
    return tuple(
        Point(starts_at.astimezone(zone), added(found))
        for starts_at, found in sorted(parts.items())
    )


def days_of_page(
    days: Sequence[DayTotals],
    selection: Selection,
    offset: int,
    size: int,
    *,
    is_descending: bool,
) -> tuple[Selection, int]:
    """The days in which events ``offset`` to ``offset + size`` lie, and the offset within them.

    ``days`` count the events of each day of the selection, the oldest first. Days follow time,
    so a page by time lies in few of them.
    """
    chosen: list[date] = []
    before = passed = 0
    for day in reversed(days) if is_descending else days:
        if passed >= offset + size:
            break
        if passed + day.events > offset:
            if not chosen:
                before = passed
            chosen.append(day.usage_date)
        passed += day.events
    if not chosen:
        return selection, offset
    narrowed = replace(selection, first=min(chosen), until=max(chosen) + timedelta(days=1))
    return narrowed, offset - before


def tag_values(sets: Sequence[TagSet]) -> dict[str, tuple[tuple[str, int], ...]]:
    """Keys with their values, the most used first; values as the filter compares them."""
    counts: dict[str, Counter[str]] = {}
    for found in sets:
        tags = json.loads(found.tags)
        for key, value in tags.items() if isinstance(tags, dict) else ():
            if isinstance(value, str | int | bool):
                text = value if isinstance(value, str) else json.dumps(value)
                counts.setdefault(key, Counter())[text] += found.events
    keys = sorted(counts, key=lambda key: (-counts[key].total(), key))
    return {
        key: tuple(sorted(counts[key].items(), key=lambda item: (-item[1], item[0])))
        for key in keys
    }


def _days(reader: AccountReader, selection: Selection) -> list[DayTotals]:
    if selection.is_answered_by_sums:
        condition = selection.of_days()
        return reader.ask(_where(DAYS, condition), **condition.parameters)
    condition = selection.of_events()
    return reader.ask(_where(EVENT_DAYS, condition), **condition.parameters)


def _quarters(reader: AccountReader, selection: Selection) -> list[QuarterTotals]:
    condition = selection.of_events()
    return reader.ask(_where(QUARTERS, condition), **condition.parameters)


def _where(question: AccountQuestion[Any], condition: Condition) -> AccountQuestion[Any]:
    return replace(question, where=condition.sql)


def _zone(reader: AccountReader) -> ZoneInfo:
    return ZoneInfo(reader.account.time_zone)


def _utc_midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day of the zone begins, UTC without a zone."""
    return datetime.combine(day, time(), zone).astimezone(UTC).replace(tzinfo=None)


def _hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """When the zone's hour that holds a UTC moment begins, in UTC: sorts right on every day."""
    local = moment.astimezone(zone)
    return moment - timedelta(minutes=local.minute, seconds=local.second)


def _group(row: GroupRow, keys: int, totals: Totals) -> Group:
    return Group(
        keys=(row.first_key, row.second_key)[:keys],
        events=row.events,
        failed_events=row.failed_events,
        unrated_events=row.unrated_events,
        credits=row.credits,
        total_tokens=row.total_tokens,
        share=_share(row.credits, totals),
    )


def _rest(rows: Sequence[Group], totals: Totals) -> Group:
    credits = totals.credits - sum((row.credits for row in rows), ZERO)
    return Group(
        keys=(),
        events=totals.events - sum(row.events for row in rows),
        failed_events=totals.failed_events - sum(row.failed_events for row in rows),
        unrated_events=totals.unrated_events - sum(row.unrated_events for row in rows),
        credits=credits,
        total_tokens=totals.total_tokens - sum(row.total_tokens for row in rows),
        share=_share(credits, totals),
    )


def _share(credits: Decimal, totals: Totals) -> Decimal:
    return credits / totals.credits if totals.credits else ZERO
