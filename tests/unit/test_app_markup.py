"""Markup escapes what comes from data."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app import charts, theme
from app.markup import (
    Bar,
    Chip,
    Choice,
    Column,
    Html,
    bars,
    chips,
    choices,
    fields,
    link,
    named,
    sparkline,
    stat,
    table,
    tag,
    with_code,
)
from app.queries.overview import Day, PathDay
from app.queries.usage import Point, added
from ingest.tables import CATEGORIES

HOSTILE = "<img src=x onerror=alert(1)> \" ' & $5"


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "<b>", Html("<i></i>"), title='"') == ('<p title="&quot;">&lt;b&gt;<i></i></p>')


@pytest.mark.parametrize(
    "markup",
    [
        named(HOSTILE, HOSTILE),
        stat(HOSTILE, HOSTILE, HOSTILE, help=HOSTILE),
        table([Column(HOSTILE, help=HOSTILE)], [[HOSTILE]]),
        bars([Bar(HOSTILE, Decimal(1), HOSTILE, "red", HOSTILE)]),
        with_code(f"a `{HOSTILE}` b"),
        link(f"usage?q={HOSTILE}", HOSTILE, label=HOSTILE),
        choices(HOSTILE, [Choice(HOSTILE, HOSTILE)]),
        chips([Chip(HOSTILE, HOSTILE, HOSTILE)], HOSTILE),
        fields([(HOSTILE, HOSTILE)]),
    ],
)
def test_a_hostile_name_never_becomes_markup(markup):
    assert "<img" not in markup
    assert "&lt;img" in markup
    assert "\" '" not in markup


def test_a_table_demands_a_cell_for_each_column():
    with pytest.raises(ValueError, match="zip"):
        table([Column("a"), Column("b")], [["only one"]])


def test_a_sparkline_needs_two_values_and_bears_zeros():
    assert sparkline([Decimal(1)], "") == ""
    assert "clip-path" in sparkline([Decimal(0), Decimal(0)], "")


def test_each_category_of_the_contract_has_a_colour_of_its_own():
    styles = theme.STYLES.read_text(encoding="utf-8")
    assert set(theme.CATEGORY_COLOURS) == set(CATEGORIES)
    for category in CATEGORIES:
        assert f"--mh-{category}: light-dark(" in styles
    assert len(set(theme.CATEGORY_COLOURS.values())) == len(CATEGORIES)


def test_the_platforms_name_cannot_leave_its_style_rule():
    style = theme.brand_style('A"}</style><script>')
    assert style.count("<") == 2
    assert '"}' not in style.removesuffix('"}</style>')


def _day(number: int, credits: str, *, is_spike: bool = False, month: int = 11) -> Day:
    return Day(
        date(2026, month, number),
        Decimal(credits),
        10,
        1,
        Decimal(10),
        Decimal(15),
        is_spike,
        is_expected=False,
        incident_date=None,
    )


def _path(day: int, projected: str) -> PathDay:
    credits = Decimal(projected)
    return PathDay(date(2026, 11, day), Decimal(2), credits, credits - 1, credits + 2)


def test_a_spike_is_split_at_what_is_usual_at_most_and_says_how_many_times():
    (row,) = charts.trend_rows([_day(6, "27", is_spike=True)], date(2026, 11, 1), None)
    assert (row["base"], row["value"], row["mark"]) == (15.0, 27.0, "▲ 2.7×")


def test_days_of_the_month_before_and_the_running_day_are_told_apart():
    rows = charts.trend_rows(
        [_day(31, "9", month=10), _day(1, "9"), _day(2, "4")], date(2026, 11, 1), date(2026, 11, 2)
    )
    assert [row["kind"] for row in rows] == ["before", "month", "partial"]
    assert rows[-1]["value_text"] == "4.00 so far"


def test_only_the_largest_spikes_are_labelled_but_all_are_marked():
    days = [_day(number, str(20 + number), is_spike=True) for number in range(1, 8)]
    marks = [row["mark"] for row in charts.trend_rows(days, date(2026, 11, 1), None)]
    assert sum("×" in mark for mark in marks) == charts.LABELLED_SPIKES
    assert all(mark.startswith("▲") for mark in marks)


def test_a_spike_of_the_month_before_is_split_but_not_marked():
    (row,) = charts.trend_rows([_day(26, "27", is_spike=True, month=10)], date(2026, 11, 1), None)
    assert (row["base"], row["value"], row["mark"]) == (15.0, 27.0, "")


def test_the_trends_axis_is_the_whole_month_however_few_days_were_used():
    month = date(2026, 11, 1)
    axis = charts.trend_axis(month)
    assert (axis[0], axis[-1], len(axis)) == (date(2026, 10, 17), date(2026, 11, 30), 45)
    drawn = charts.trend_chart(charts.trend_rows([_day(7, "9")], month, None), month, theme.LIGHT)
    assert len(drawn.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]) == 45


def test_the_pace_sums_each_month_and_runs_on_to_the_projection():
    days = [_day(31, "7", month=10), _day(1, "2"), _day(2, "3")]
    rows = charts.pace_rows(days, date(2026, 11, 1), [_path(2, "1"), _path(3, "9")])
    assert [
        (row["line"], row["number"], row["total"], row.get("low"), row.get("high")) for row in rows
    ] == [
        ("before", 31, 7.0, None, None),
        ("month", 1, 2.0, None, None),
        ("month", 2, 5.0, None, None),
        ("projected", 2, 5.0, 5.0, 5.0),
        ("projected", 3, 9.0, 8.0, 11.0),
    ]


def test_the_days_to_come_are_drawn_as_expected():
    month = date(2026, 11, 1)
    rows = charts.trend_rows(
        [_day(2, "3")], month, date(2026, 11, 2), [_path(2, "1"), _path(3, "9")]
    )
    assert [(row["day"], row["kind"], row["value"]) for row in rows] == [
        ("2026-11-02", "partial", 3.0),
        ("2026-11-03", "expected", 2.0),
    ]
    assert rows[1]["value_text"] == "2.00 expected"


def test_a_month_without_credits_is_drawn_in_operations():
    month = date(2026, 11, 1)
    days = [_day(6, "0", is_spike=True), _day(7, "0")]
    trend = charts.trend_rows(days, month, None, (), charts.OPERATIONS)
    assert [(row["value"], row["value_text"], row["usual"], row["mark"]) for row in trend] == [
        (10.0, "10", None, ""),
        (10.0, "10", None, ""),
    ]
    drawn = charts.trend_chart(trend, month, theme.LIGHT, charts.OPERATIONS).to_dict()
    assert "Operations" in {tip["title"] for tip in drawn["layer"][0]["encoding"]["tooltip"]}
    assert "Credits" not in str(drawn["layer"])
    pace = charts.pace_rows(days, month, (), charts.OPERATIONS)
    assert [(row["total"], row["total_text"]) for row in pace] == [(10.0, "10"), (20.0, "20")]


def test_a_complete_month_has_no_projection():
    rows = charts.pace_rows([_day(1, "2")], date(2026, 11, 1))
    assert {row["line"] for row in rows} == {"month"}


def test_charts_are_valid_with_and_without_spikes():
    month = date(2026, 11, 1)
    spike_before = _day(29, "27", is_spike=True, month=10)
    for days in ([_day(6, "27", is_spike=True), _day(7, "9")], [_day(7, "9")], [spike_before]):
        rows = charts.trend_rows(days, month, None)
        assert charts.trend_chart(rows, month, theme.LIGHT).to_dict()["layer"]
        pace = charts.pace_rows(days, month, [_path(20, "90")])
        assert charts.pace_chart(pace, theme.DARK).to_dict()["layer"]


def _points(count: int, credits: str = "2") -> list[Point]:
    totals = replace(added([]), credits=Decimal(credits), events=4)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [Point(start + timedelta(days=ahead), totals) for ahead in range(count)]


def _bars(points: list[Point], before: list[Point], **more) -> list[dict]:
    options = {"is_hourly": False, "in_credits": True, "today": date(2030, 1, 1)} | more
    return charts.usage_rows(points, before, **options)


def test_a_selections_bars_stand_beside_the_period_before():
    rows = _bars(_points(3), _points(2, "5"))
    assert [(row["value"], row["before"]) for row in rows] == [(2, 5), (2, 5), (2, None)]
    assert charts.usage_chart(rows, theme.LIGHT).to_dict()["layer"]


def test_days_to_come_have_no_bar():
    rows = _bars(_points(3), [], today=date(2026, 1, 2))
    assert [row["value"] for row in rows] == [2, 2, None]
    assert charts.usage_chart(rows, theme.DARK).to_dict()["layer"]


def test_usage_without_credits_is_drawn_by_operations():
    assert [row["value"] for row in _bars(_points(1, "0"), [], in_credits=False)] == [4]


def test_years_are_drawn_by_months():
    rows = _bars(_points(59 + 365), [])
    assert [row["value"] for row in rows[:2]] == [62, 56]
    assert rows[0]["label"] == "January 2026"


@pytest.mark.parametrize(
    ("state", "day"),
    [
        (None, None),
        ({}, None),
        ({"selection": {"clicked": []}}, None),
        ({"selection": {"clicked": [{}]}}, None),
        ({"selection": {"clicked": [{"day": "2026-11-06"}]}}, date(2026, 11, 6)),
    ],
)
def test_the_clicked_bar_is_a_day(state, day):
    assert charts.clicked_day(state) == day
