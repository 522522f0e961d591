"""The questions of the Usage page: totals, pages, groups and details of the same events."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.gate import AccountReader, Gate
from app.lake import LakeReader
from app.queries import usage
from app.queries.usage import (
    DayTotals,
    TagSet,
    Totals,
    added,
    days_of_page,
    gather_event,
    gather_facets,
    gather_groups,
    gather_page,
    gather_pending_events,
    gather_summary,
    gather_tags,
    tag_values,
)
from tests.app.reporting_lake import RAW_LOAD_ID
from warehouse.settings import Settings
from warehouse.usage.selection import Dimension, Selection, Sort, order_of

NOVEMBER = Selection(date(2026, 11, 1), date(2026, 12, 1))
SELECTIONS = {
    "everything": NOVEMBER,
    "filtered": replace(NOVEMBER, agents=("translator", "nobody"), statuses=("ok", "error")),
    "searched": replace(NOVEMBER, text="SAG"),
    "tagged": replace(NOVEMBER, tags=(("team", "blue"), ("team", "green"), ("env", "prod"))),
    "one day": Selection(date(2026, 11, 9), date(2026, 11, 10)),
    "nothing": replace(NOVEMBER, agents=("nobody",)),
}


@pytest.fixture(scope="module")
def gate(published: Settings) -> Iterator[Gate]:
    reader = LakeReader(published)
    yield Gate(reader, reader.publication())
    reader.close()


@pytest.fixture(scope="module")
def acme(gate: Gate) -> AccountReader:
    return gate.enter("acme")


@pytest.fixture(params=list(SELECTIONS))
def selection(request: pytest.FixtureRequest) -> Selection:
    return SELECTIONS[request.param]


def ids(gate: Gate, selection: Selection, order: str) -> list[str]:
    """The ids of acme's selected events, in order, without any of the page's shortcuts."""
    condition = selection.of_events()
    rows = gate._reader.rows(
        "select event_id from marts.main.rpt_usage_event where account_id = 'acme'"
        f" and {condition.sql} order by {order}",
        condition.parameters,
        publication=gate.publication,
    )
    return [row[0] for row in rows]


def test_totals_pages_and_chart_count_the_same_events(
    gate: Gate, acme: AccountReader, selection: Selection
):
    summary = gather_summary(acme, selection)
    events = ids(gate, selection, "1")
    assert summary.totals.events == len(events)
    assert added([point.totals for point in summary.points]) == summary.totals
    assert gather_page(acme, summary).events == len(events)


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("is_descending", [True, False])
def test_pages_put_together_are_all_events_in_order(
    gate: Gate, acme: AccountReader, sort: Sort, is_descending: bool
):
    days = Selection(date(2026, 11, 7), date(2026, 11, 10))
    summary = gather_summary(acme, days)
    found: list[str] = []
    number = 1
    while True:
        page = gather_page(
            acme, summary, sort=sort, is_descending=is_descending, number=number, size=333
        )
        found += [row.event_id for row in page.rows]
        if number == page.pages:
            break
        number += 1
    assert number > 3
    assert found == ids(gate, days, order_of(sort, is_descending=is_descending))


def test_a_page_that_is_not_there_is_the_nearest_one(acme: AccountReader):
    summary = gather_summary(acme, NOVEMBER)
    assert gather_page(acme, summary, number=-3).number == 1
    last = gather_page(acme, summary, number=10**9)
    assert last.number == last.pages
    nothing = gather_page(acme, gather_summary(acme, SELECTIONS["nothing"]), number=7)
    assert (nothing.rows, nothing.number, nothing.pages) == ((), 1, 1)


def test_a_page_by_time_reads_the_days_it_lies_in():
    days = [_day(1, 10), _day(2, 0), _day(3, 5), _day(4, 20)]

    def window(offset: int, *, newest_first: bool = True) -> tuple[int, int, int]:
        narrowed, rest = days_of_page(days, NOVEMBER, offset, 6, is_descending=newest_first)
        return narrowed.first.day, narrowed.until.day - 1, rest

    assert window(0) == (4, 4, 0)
    assert window(18) == (3, 4, 18)
    assert window(20) == (1, 3, 0)
    assert window(25) == (1, 1, 0)
    assert window(0, newest_first=False) == (1, 1, 0)
    assert window(8, newest_first=False) == (1, 3, 8)
    assert days_of_page(days, NOVEMBER, 99, 6, is_descending=True) == (NOVEMBER, 99)


def _day(day: int, events: int) -> DayTotals:
    return DayTotals(
        **{item.name: getattr(added([]), item.name) for item in fields(Totals)}
        | {"events": events, "usage_date": date(2026, 11, day)}
    )


GROUPINGS = [
    *([dimension] for dimension in Dimension),
    *([first, second] for first in Dimension for second in Dimension if first is not second),
]


@pytest.mark.parametrize("dimensions", GROUPINGS, ids=" and ".join)
def test_groups_and_the_rest_add_up_to_the_selection(
    acme: AccountReader, monkeypatch: pytest.MonkeyPatch, dimensions: list[Dimension]
):
    monkeypatch.setattr(usage, "GROUPS_SHOWN", 20)
    week = Selection(date(2026, 11, 9), date(2026, 11, 16), categories=("llm", "sql"))
    totals = gather_summary(acme, week).totals
    groups = gather_groups(acme, week, totals, dimensions)
    parts = [*groups.rows, *([groups.rest] if groups.rest else [])]
    assert sum(part.events for part in parts) == totals.events
    assert sum((part.credits for part in parts), Decimal(0)) == totals.credits
    assert sum(part.total_tokens for part in parts) == totals.total_tokens
    assert sum((part.share for part in parts), Decimal(0)) == pytest.approx(1)
    assert len(groups.rows) <= 20
    assert len({row.keys for row in groups.rows}) == len(groups.rows)
    assert bool(groups.rest) == (groups.rest_groups > 0)


def test_groups_by_sums_equal_groups_by_events(acme: AccountReader):
    totals = gather_summary(acme, NOVEMBER).totals
    by_sums = gather_groups(acme, NOVEMBER, totals, [Dimension.AGENT, Dimension.MODEL])
    every_event = replace(NOVEMBER, text="ev-")
    assert not every_event.is_answered_by_sums
    by_events = gather_groups(acme, every_event, totals, [Dimension.AGENT, Dimension.MODEL])
    assert by_sums == by_events


@pytest.mark.parametrize("dimensions", [[], [Dimension.DAY] * 2, list(Dimension)[:3]])
def test_one_or_two_different_dimensions_are_asked_for(
    acme: AccountReader, dimensions: list[Dimension]
):
    with pytest.raises(ValueError, match="one or two different"):
        gather_groups(acme, NOVEMBER, added([]), dimensions)


def test_an_event_opens_for_its_own_account_only(gate: Gate, acme: AccountReader):
    row = gather_page(acme, gather_summary(acme, NOVEMBER)).rows[0]
    key = (row.source, row.event_id, row.usage_date_utc)
    event = gather_event(acme, *key)
    assert event is not None
    assert (event.credits, event.occurred_at) == (row.credits, row.occurred_at)
    assert event.load_path
    assert event.line_number
    assert gather_event(gate.enter("tokyo"), *key) is None
    assert gather_event(acme, row.source, row.event_id, row.usage_date_utc + timedelta(1)) is None
    assert gather_event(acme, "' or true --", "%", row.usage_date_utc) is None


def test_facets_count_what_the_period_has(acme: AccountReader):
    found = gather_facets(acme, NOVEMBER.first, NOVEMBER.until)
    events = gather_summary(acme, NOVEMBER).totals.events
    for options in (found.agents, found.categories, found.models, found.statuses):
        assert sum(option.events for option in options) == events
        assert [option.events for option in options] == sorted(
            (option.events for option in options), reverse=True
        )
    assert {option.value for option in found.statuses} == {"ok", "error", "cancelled"}


def test_tags_are_offered_as_the_filter_compares_them(acme: AccountReader):
    offered = gather_tags(acme, NOVEMBER.first, NOVEMBER.until)
    assert set(offered) == {"team", "env"}
    for key, values in offered.items():
        for value, events in values:
            tagged = replace(NOVEMBER, tags=((key, value),))
            assert gather_summary(acme, tagged).totals.events == events


def test_only_plain_values_of_tags_are_offered():
    sets = [
        TagSet('{"a": "x", "b": 1, "c": true, "d": null, "e": {"f": 1}, "g": [1]}', 2),
        TagSet('{"a": "y"}', 3),
        TagSet("[1]", 9),
    ]
    assert tag_values(sets) == {
        "a": (("y", 3), ("x", 2)),
        "b": (("1", 2),),
        "c": (("true", 2),),
    }


def test_pending_events_are_those_above_the_published_load(gate: Gate):
    today = Selection(date(2026, 11, 23), date(2026, 11, 24))

    def pending(account_id: str, selection: Selection = today) -> Any:
        return gather_pending_events(gate.enter(account_id), selection, RAW_LOAD_ID)

    assert pending("acme").totals.events == 41
    assert len(pending("acme").rows) == 41
    assert pending("mallory").rows == ()
    assert pending("acme", replace(today, agents=("nobody",))).totals.events == 0
    assert pending("acme", replace(today, text="p-4", models=("gpt-5.2",))).totals.events == 2
    assert pending("acme", replace(today, statuses=("error",))).totals.events == 0
    assert pending("acme", Selection(date(2026, 11, 1), today.first)).totals.events == 0
    assert all(row.load_id > RAW_LOAD_ID for row in pending("acme").rows)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Asia/Kathmandu", date(2026, 11, 9), 24),
        ("Australia/Lord_Howe", date(2026, 10, 4), 24),
    ],
)
def test_a_day_has_the_hours_that_its_zone_gives_it(zone: str, day: date, hours: int):
    local = ZoneInfo(zone)
    start = datetime.combine(day, datetime.min.time(), local).astimezone(UTC).replace(tzinfo=None)
    quarter = usage.QuarterTotals(
        **{item.name: getattr(added([]), item.name) for item in fields(Totals)}
        | {"events": 3, "starts_at": start}
    )
    points = usage.hourly_points([quarter], Selection(day, day + timedelta(1)), local)
    assert len(points) == hours
    assert points[0].totals.events == 3
    assert points[0].starts_at.date() == day
    assert sum(point.totals.events for point in points) == 3
