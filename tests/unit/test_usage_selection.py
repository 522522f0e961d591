"""A selection means the same in SQL as in words."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.usage.selection import (
    TEXT_COLUMNS,
    Selection,
    SelectionError,
    Sort,
    order_of,
)

FIRST = date(2026, 3, 27)
NAMES = (
    "scout",
    "Scout",
    "o'brien",
    "x') or true --",
    "<b>$agents</b>",
    "%",
    "_",
    "\\",
    "ÄRGER",
    "",
)
KEYS = ("team", "a/b", "a~b", "$.team", "team'", '"', "", "*")
EVENT = """
    create table event (
        event_id varchar, agent_id varchar, category varchar, model varchar, status varchar,
        rating_status varchar, session_id varchar, request_hash varchar, tags varchar,
        occurred_at timestamp, usage_date_utc date, usage_date date
    )
"""
COLUMNS = (
    "event_id",
    "agent_id",
    "category",
    "model",
    "status",
    "rating_status",
    "session_id",
    "request_hash",
    "tags",
    "occurred_at",
    "usage_date_utc",
    "usage_date",
)
Event = dict[str, Any]

names = st.sampled_from(NAMES)
maybe = st.none() | names
tags = st.none() | st.dictionaries(st.sampled_from(KEYS), names, max_size=3).map(json.dumps)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """An event near the days that are asked for; its local day is at most one day off."""
    occurred_at = datetime(2026, 3, 25) + timedelta(minutes=draw(st.integers(0, 7 * 1440)))
    utc_day = occurred_at.date()
    return {
        "event_id": draw(names),
        "agent_id": draw(names),
        "category": draw(st.sampled_from(["llm", "sql"])),
        "model": draw(names),
        "status": draw(st.sampled_from(["ok", "error"])),
        "rating_status": draw(st.sampled_from(["logged", "unrated"])),
        "session_id": draw(maybe),
        "request_hash": draw(maybe),
        "tags": draw(tags),
        "occurred_at": occurred_at,
        "usage_date_utc": utc_day,
        "usage_date": utc_day + timedelta(days=draw(st.sampled_from([-1, 0, 1]))),
    }


some = st.lists(names, max_size=3).map(tuple)
selections = st.builds(
    lambda first, days, **filters: Selection(first, first + timedelta(days=days), **filters),
    st.dates(date(2026, 3, 25), date(2026, 3, 31)),
    st.integers(1, 4),
    agents=some,
    categories=st.lists(st.sampled_from(["llm", "sql", "music"]), max_size=2).map(tuple),
    models=some,
    statuses=st.lists(st.sampled_from(["ok", "error"]), max_size=2).map(tuple),
    ratings=st.lists(st.sampled_from(["logged", "unrated"]), max_size=2).map(tuple),
    tags=st.lists(st.tuples(st.sampled_from(KEYS), names), max_size=3).map(tuple),
    text=names,
    hours=st.lists(st.integers(0, 23), max_size=12).map(tuple),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
)


def is_wanted(event: Event, selection: Selection) -> bool:
    """The selection in words."""
    found = json.loads(event["tags"]) if event["tags"] else {}
    local = (
        event["occurred_at"]
        .replace(tzinfo=ZoneInfo("UTC"))
        .astimezone(ZoneInfo(selection.time_zone))
    )
    keys = {key for key, _ in selection.tags}
    return (
        selection.first <= event["usage_date"] < selection.until
        and (not selection.agents or event["agent_id"] in selection.agents)
        and (not selection.categories or event["category"] in selection.categories)
        and (not selection.models or event["model"] in selection.models)
        and (not selection.statuses or event["status"] in selection.statuses)
        and (not selection.ratings or event["rating_status"] in selection.ratings)
        and (not selection.hours or local.hour in selection.hours)
        and all((key, found.get(key)) in selection.tags for key in keys)
        and (
            not selection.text
            or any(
                selection.text.lower() in (event[column] or "").lower() for column in TEXT_COLUMNS
            )
        )
    )


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(EVENT)
        yield connection


@settings(max_examples=150)
@given(st.lists(events(), max_size=8), selections)
def test_a_selection_finds_the_events_that_its_words_say(
    connection: duckdb.DuckDBPyConnection, stored: list[Event], selection: Selection
) -> None:
    connection.execute("delete from event")
    for event in stored:
        connection.execute(
            f"insert into event values ({', '.join(f'${name}' for name in COLUMNS)})", event
        )
    condition = selection.of_events()
    found = connection.execute(
        f"select {', '.join(COLUMNS)} from event where {condition.sql} order by rowid",
        dict(condition.parameters) or None,
    ).fetchall()
    wanted = [
        tuple(event[name] for name in COLUMNS) for event in stored if is_wanted(event, selection)
    ]
    assert found == wanted


@given(selections)
def test_no_value_becomes_a_part_of_the_query(selection: Selection) -> None:
    text = selection.of_events().sql
    for value in (*selection.agents, *selection.models, selection.text):
        if len(value) > 2:
            assert value not in text.replace(" model ", " ").replace("$agents", "")


def test_ten_thousand_agents_are_one_parameter() -> None:
    many = Selection(FIRST, FIRST + timedelta(days=1), agents=tuple(map(str, range(10_000))))
    condition = many.of_events()
    assert len(condition.sql) < 300
    assert len(condition.parameters["agents"]) == 10_000


def test_only_the_days_asked_for_and_their_neighbours_are_scanned() -> None:
    condition = Selection(date(2026, 3, 1), date(2026, 3, 2)).of_events()
    assert condition.sql == (
        "usage_date_utc >= date '2026-02-28' and usage_date_utc < date '2026-03-03'"
        " and usage_date >= date '2026-03-01' and usage_date < date '2026-03-02'"
    )
    assert condition.parameters == {}


def test_the_calendar_has_an_end_and_a_beginning() -> None:
    assert Selection(date.min, date.max).of_events().sql
    with pytest.raises(SelectionError, match="before 0001-01-01"):
        Selection(date.min, date.max).previous()


@pytest.mark.parametrize("until", [FIRST, FIRST - timedelta(days=1)])
def test_days_in_reverse_are_refused(until: date) -> None:
    with pytest.raises(SelectionError, match="no day from 2026-03-27"):
        Selection(FIRST, until)


def test_the_previous_period_is_as_long_and_ends_where_this_one_begins() -> None:
    march = Selection(date(2026, 3, 1), date(2026, 4, 1), agents=("scout",))
    assert march.previous() == Selection(date(2026, 1, 29), date(2026, 3, 1), agents=("scout",))
    assert march.days == march.previous().days == 31


def test_daily_sums_answer_whatever_they_have_columns_for() -> None:
    days = {"first": FIRST, "until": FIRST + timedelta(days=9)}
    by_columns = Selection(**days, agents=("a",), models=("m",), statuses=("ok",))
    assert by_columns.of_days().sql.startswith(
        "month >= date '2026-03-01' and month < date '2026-04-05'"
    )
    for filters in ({"tags": (("a", "b"),)}, {"text": "x"}, {"hours": (3,)}, {"ratings": ("r",)}):
        narrower = Selection(**days, **filters)
        assert not narrower.is_answered_by_sums
        with pytest.raises(ValueError, match="daily sums"):
            narrower.of_days()


@pytest.mark.parametrize("sort", list(Sort))
def test_every_order_gives_each_event_a_place_of_its_own(sort: Sort) -> None:
    for is_descending in (True, False):
        order = order_of(sort, is_descending=is_descending)
        assert order.endswith("source, event_id")
        assert "nulls last" in order
        assert "occurred_at" in order
