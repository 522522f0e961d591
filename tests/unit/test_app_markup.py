"""Markup escapes what comes from data."""

from datetime import date
from decimal import Decimal

import pytest

from app import charts, theme
from app.markup import Bar, Column, Html, bars, named, sparkline, stat, table, tag, with_code
from app.queries.overview import Day
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
        date(2026, month, number), Decimal(credits), 10, 1, Decimal(10), Decimal(15), is_spike
    )


def test_a_spike_is_split_at_what_is_usual_at_most_and_says_how_many_times():
    (row,) = charts.trend_rows([_day(6, "27", is_spike=True)], date(2026, 11, 1), None)
    assert (row["base"], row["credits"], row["mark"]) == (15.0, 27.0, "▲ 2.7×")


def test_days_of_the_month_before_and_the_running_day_are_told_apart():
    rows = charts.trend_rows(
        [_day(31, "9", month=10), _day(1, "9"), _day(2, "4")], date(2026, 11, 1), date(2026, 11, 2)
    )
    assert [row["kind"] for row in rows] == ["before", "month", "partial"]
    assert rows[-1]["credits_text"] == "4.00 so far"


def test_only_the_largest_spikes_are_labelled_but_all_are_marked():
    days = [_day(number, str(20 + number), is_spike=True) for number in range(1, 8)]
    marks = [row["mark"] for row in charts.trend_rows(days, date(2026, 11, 1), None)]
    assert sum("×" in mark for mark in marks) == charts.LABELLED_SPIKES
    assert all(mark.startswith("▲") for mark in marks)


def test_a_spike_of_the_month_before_is_split_but_not_marked():
    (row,) = charts.trend_rows([_day(6, "27", is_spike=True, month=10)], date(2026, 11, 1), None)
    assert (row["base"], row["credits"], row["mark"]) == (15.0, 27.0, "")


def test_the_pace_sums_each_month_and_runs_on_to_the_projection():
    days = [_day(31, "7", month=10), _day(1, "2"), _day(2, "3")]
    rows = charts.pace_rows(days, date(2026, 11, 1), 30, Decimal(75))
    assert [(row["line"], row["number"], row["total"]) for row in rows] == [
        ("before", 31, 7.0),
        ("month", 1, 2.0),
        ("month", 2, 5.0),
        ("projected", 2, 5.0),
        ("projected", 30, 75.0),
    ]


def test_a_complete_month_has_no_projection():
    rows = charts.pace_rows([_day(1, "2")], date(2026, 11, 1), 30, None)
    assert {row["line"] for row in rows} == {"month"}


def test_charts_are_valid_with_and_without_spikes():
    month = date(2026, 11, 1)
    spike_before = _day(9, "27", is_spike=True, month=10)
    for days in ([_day(6, "27", is_spike=True), _day(7, "9")], [_day(7, "9")], [spike_before]):
        rows = charts.trend_rows(days, month, None)
        assert charts.trend_chart(rows, theme.LIGHT).to_dict()["layer"]
        pace = charts.pace_rows(days, month, 30, Decimal(90))
        assert charts.pace_chart(pace, theme.DARK).to_dict()["layer"]
