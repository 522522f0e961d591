"""The charts: pure functions from figures to Altair. Floats only here, where pixels are drawn."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import altair as alt

from app import formats
from app.queries.overview import Day, PathDay, next_month, previous_month
from app.queries.usage import Point
from app.theme import Palette

DAYS_SHOWN = 45
LABELLED_SPIKES = 4
CLICKED = "clicked"
"""The selection of a chart whose bars lead to what is behind them."""
BARS_SHOWN = 400
"""Days that are drawn each as a bar; longer ranges are drawn by months."""


@dataclass(frozen=True)
class Measure:
    """What the bars and lines of a month stand for: its name, its figure of a day, as text."""

    title: str
    of: Callable[[Day], Decimal]
    text: Callable[[Decimal | None], str]


CREDITS = Measure("Credits", lambda day: day.credits, formats.credits)
OPERATIONS = Measure("Operations", lambda day: Decimal(day.events), formats.number)
"""How usage without credits is drawn."""

AMOUNT = "format(datum.value, datum.value < 100000 ? ',.6~g' : '.3~s')"


def trend_axis(month: date) -> list[date]:
    """The :data:`DAYS_SHOWN` days up to the month's last: all of it, and some of the one before.

    The same days whatever was used, so that a few bars are no wider than many.
    """
    last = next_month(month) - timedelta(days=1)
    return [last - timedelta(days=back) for back in reversed(range(DAYS_SHOWN))]


def trend_rows(
    days: Sequence[Day],
    month: date,
    partial: date | None,
    path: Sequence[PathDay] = (),
    measure: Measure = CREDITS,
) -> list[dict[str, Any]]:
    """One row a day of :func:`trend_axis`, with its texts; ``partial`` is still running.

    ``kind`` says how it is drawn: ``before`` (of the month before), ``month``, ``partial``, or
    ``expected`` for the days of ``path`` that have no usage yet. A
    spike is split at what is usual at most for its weekday: ``base`` below, the rest above. Only
    spikes of the month itself are marked, and the largest of them say how many times the usual.
    What is usual is known of credits only.
    """
    first = trend_axis(month)[0]
    shown = [day for day in days if day.usage_date >= first]
    largest = sorted(
        (day for day in shown if _is_marked(day) and day.usage_date >= month),
        key=lambda day: day.credits,
        reverse=True,
    )
    labelled = {day.usage_date for day in largest[:LABELLED_SPIKES]}
    rows = []
    for day in shown:
        value = measure.of(day)
        usual = day.expected_credits if measure is CREDITS else None
        is_spike = _is_marked(day) and measure is CREDITS
        high = min(day.high_credits, value) if is_spike and day.high_credits else value
        times = value / usual if is_spike and usual else None
        rows.append(
            {
                "day": day.usage_date.isoformat(),
                "date": formats.day(day.usage_date),
                "short_date": formats.short_day(day.usage_date),
                "kind": "before"
                if day.usage_date < month
                else "partial"
                if day.usage_date == partial
                else "month",
                "value": float(value),
                "base": float(high),
                "usual": None if usual is None else float(usual),
                "mark": f"▲ {formats.number(times, 1)}×"
                if times and day.usage_date in labelled
                else "▲"
                if is_spike and day.usage_date >= month
                else "",
                "value_text": measure.text(value)
                + (" so far" if day.usage_date == partial else ""),
                "usual_text": formats.credits(usual),
                "events_text": formats.number(day.events),
                "failed_text": formats.number(day.failed_events),
            }
        )
    used = {day.usage_date for day in shown}
    return rows + [_expected(day) for day in path if day.usage_date not in used]


def _expected(day: PathDay) -> dict[str, Any]:
    return {
        "day": day.usage_date.isoformat(),
        "date": formats.day(day.usage_date),
        "short_date": formats.short_day(day.usage_date),
        "kind": "expected",
        "value": float(day.expected_credits),
        "base": float(day.expected_credits),
        "usual": None,
        "mark": "",
        "value_text": f"{formats.credits(day.expected_credits)} expected",
        "usual_text": formats.DASH,
        "events_text": formats.DASH,
        "failed_text": formats.DASH,
    }


def fits(limit: Decimal | float | None, highest: float) -> bool:
    """Whether a limit can be drawn without pressing what is below it flat."""
    return limit is not None and float(limit) <= 2 * highest


def trend_chart(
    rows: Sequence[dict[str, Any]],
    month: date,
    colours: Palette,
    measure: Measure = CREDITS,
    budget: Decimal | None = None,
) -> alt.LayerChart:
    """A measure a day as bars, what is usual as a calm line, the part above it marked on spikes.

    ``budget`` is what a budget of the month comes to a day, drawn over the month's days where it
    :func:`fits`. A click on a bar selects its ``day`` as :data:`CLICKED`.
    """
    source = alt.InlineData(values=list(rows))
    order = [day.isoformat() for day in trend_axis(month)]
    x = alt.X(
        "day:O",
        sort=order,
        axis=plain_axis(
            colours,
            values=order[::-7][::-1],
            labelExpr=f"utcFormat(toDate(datum.value), '{formats.in_use().axis_day}')",
            labelAngle=0,
            labelFlush=False,
        ),
        scale=alt.Scale(domain=order, paddingInner=0.22, paddingOuter=0.05),
    )
    axis = amount_axis(colours, tick_count=4)
    tooltip = [
        alt.Tooltip("date:N", title="Day"),
        alt.Tooltip("value_text:N", title=measure.title),
        *(
            [
                alt.Tooltip("usual_text:N", title="Usual for the weekday"),
                alt.Tooltip("events_text:N", title="Operations"),
            ]
            if measure is CREDITS
            else []
        ),
        alt.Tooltip("failed_text:N", title="Failed"),
    ]
    fill = alt.Color(
        "kind:N",
        legend=None,
        scale=alt.Scale(
            domain=["before", "month", "partial", "expected"],
            range=[colours.faded, colours.accent, colours.accent, colours.accent],
        ),
    )
    opacity = (
        alt.when("datum.kind == 'partial'")
        .then(alt.value(0.5))
        .when("datum.kind == 'expected'")
        .then(alt.value(0.16))
        .otherwise(alt.value(1.0))
    )
    base = alt.Chart(source).encode(x=x)
    bars = (
        base.mark_bar(cornerRadiusEnd=2, cursor="pointer")
        .encode(y=alt.Y("base:Q", axis=axis), color=fill, opacity=opacity, tooltip=tooltip)
        .add_params(alt.selection_point(name=CLICKED, fields=["day"], on="click", toggle=False))
    )
    above = (
        base.transform_filter("datum.value > datum.base")
        .mark_bar(cornerRadiusEnd=2, color=colours.spike)
        .encode(
            y=alt.Y("base:Q", axis=axis),
            y2="value:Q",
            opacity=alt.condition("datum.kind == 'before'", alt.value(0.45), alt.value(1.0)),
            tooltip=tooltip,
        )
    )
    usual = base.mark_tick(
        color=colours.usual, thickness=2, width={"band": 1.0}, opacity=0.9
    ).encode(y=alt.Y("usual:Q", axis=axis))
    marks = [
        base.transform_filter("datum.mark != ''")
        .mark_text(dy=-9, fontSize=11, fontWeight=600, **drawn)
        .encode(y=alt.Y("value:Q", axis=axis), text="mark:N", tooltip=tooltip)
        for drawn in (
            {"color": colours.surface, "stroke": colours.surface, "strokeWidth": 4},
            {"color": colours.spike},
        )
    ]
    layers = [bars]
    if any(row["value"] > row["base"] for row in rows):
        layers.append(above)
    layers.append(usual)
    if any(row["mark"] for row in rows):
        layers.extend(marks)
    if budget is not None and fits(budget, max((row["value"] for row in rows), default=0)):
        days = [{"day": day, "budget": float(budget)} for day in order if day >= month.isoformat()]
        layers.append(
            alt.Chart(alt.InlineData(values=days))
            .mark_line(color=colours.text, strokeDash=[6, 4], strokeWidth=1.5)
            .encode(x=x, y=alt.Y("budget:Q", axis=axis))
        )
    return calm(layers, height=250)


def usage_rows(
    points: Sequence[Point],
    before: Sequence[Point],
    *,
    is_hourly: bool,
    in_credits: bool,
    today: date,
) -> list[dict[str, Any]]:
    """One row a bar of a selection: its figure, that of the period before at the same place.

    Bars are hours, days, or months where there are more than :data:`BARS_SHOWN` days. ``value`` is
    credits, or operations of usage without any. Days to come have no bar, ``today`` is a pale one.
    """
    bars = _as_bars(points, is_hourly, today)
    earlier = _as_bars(before, is_hourly, date.max)
    by_month = is_monthly(points, is_hourly=is_hourly)
    rows = []
    for place, (start, credits, events, failed) in enumerate(bars):
        old = earlier[place] if place < len(earlier) else None
        value = None if credits is None else credits if in_credits else Decimal(events)
        if is_hourly:
            label = f"{formats.short_day(start.date())}, {formats.hours(start.hour)}"
        else:
            label = formats.month(start.date()) if by_month else formats.day(start.date())
        rows.append(
            {
                "place": place,
                "day": start.date().isoformat(),
                "label": label,
                "tick": f"{start:%H:%M}"
                if is_hourly
                else formats.month(start.date())
                if by_month
                else formats.short_day(start.date()),
                "value": None if value is None else float(value),
                "is_partial": not by_month and not is_hourly and start.date() == today,
                "before": None
                if old is None or old[1] is None
                else float(old[1] if in_credits else old[2]),
                "credits_text": formats.credits(credits),
                "events_text": formats.DASH if credits is None else formats.number(events),
                "failed_text": formats.DASH if credits is None else formats.number(failed),
                "before_text": formats.DASH if old is None else formats.credits(old[1]),
            }
        )
    return rows


def is_monthly(points: Sequence[Point], *, is_hourly: bool) -> bool:
    """Whether the bars of so many points are months."""
    return not is_hourly and len(points) > BARS_SHOWN


def clicked_day(state: Any) -> date | None:
    """The day of the bar that was clicked, from what a chart's state holds."""
    chosen = (state or {}).get("selection", {}).get(CLICKED) or []
    day = chosen[0].get("day") if chosen else None
    return date.fromisoformat(day) if isinstance(day, str) else None


def usage_chart(rows: Sequence[dict[str, Any]], colours: Palette) -> alt.LayerChart:
    """The selection's bars, the period before as a pale line; a click selects :data:`CLICKED`."""
    source = alt.InlineData(values=list(rows))
    step = max(1, -(-len(rows) // 12))
    labels = {row["place"]: row["tick"] for row in rows[::step]}
    x = alt.X(
        "place:O",
        axis=plain_axis(
            colours,
            values=list(labels),
            labelExpr=f"({json.dumps(labels)})[datum.value]",
            labelAngle=0,
            labelOverlap=True,
            labelFlush=False,
        ),
        scale=alt.Scale(paddingInner=0.22, paddingOuter=0.05),
    )
    axis = amount_axis(colours, tick_count=3)
    tooltip = [
        alt.Tooltip("label:N", title="When"),
        alt.Tooltip("credits_text:N", title="Credits"),
        alt.Tooltip("events_text:N", title="Operations"),
        alt.Tooltip("failed_text:N", title="Failed"),
        alt.Tooltip("before_text:N", title="Credits in the period before"),
    ]
    base = alt.Chart(source).encode(x=x)
    bars = (
        base.mark_bar(cornerRadiusEnd=2, color=colours.accent, cursor="pointer")
        .encode(
            y=alt.Y("value:Q", axis=axis),
            tooltip=tooltip,
            opacity=alt.condition("datum.is_partial", alt.value(0.5), alt.value(1.0)),
        )
        .add_params(alt.selection_point(name=CLICKED, fields=["day"], on="click", toggle=False))
    )
    before = base.mark_line(color=colours.usual, strokeWidth=1.5, opacity=0.75).encode(
        y=alt.Y("before:Q", axis=axis), tooltip=tooltip
    )
    has_before = any(row["before"] for row in rows)
    return calm([bars, before] if has_before else [bars], height=150)


def pace_rows(
    days: Sequence[Day],
    month: date,
    path: Sequence[PathDay] = (),
    measure: Measure = CREDITS,
) -> list[dict[str, Any]]:
    """A measure summed from the first day of a month: this one, the one before, the projection.

    ``path`` are the days to come with their range; a complete month has none.
    """
    before = previous_month(month)
    rows: list[dict[str, Any]] = []
    for line, first in (("before", before), ("month", month)):
        total = Decimal(0)
        for day in days:
            if day.usage_date.replace(day=1) != first:
                continue
            total += measure.of(day)
            rows.append(_pace(line, day.usage_date.day, total, day.usage_date, measure))
    current = [row for row in rows if row["line"] == "month"]
    to_come = [day for day in path if not current or day.usage_date.day > current[-1]["number"]]
    if to_come:
        if current:
            here = {"low": current[-1]["total"], "high": current[-1]["total"]}
            rows.append({**current[-1], "line": "projected", **here})
        rows.extend(_projected(day) for day in to_come)
    return rows


def pace_chart(
    rows: Sequence[dict[str, Any]],
    colours: Palette,
    measure: Measure = CREDITS,
    budget: Decimal | None = None,
) -> alt.LayerChart:
    """The month's usage growing day by day, beside the month before and to the projection.

    ``budget`` is the month's limit, drawn where it :func:`fits`.
    """
    last = max([28, *(row["number"] for row in rows)])
    source = alt.InlineData(values=list(rows))
    x = alt.X(
        "number:Q",
        scale=alt.Scale(domain=[1, last], nice=False),
        axis=plain_axis(colours, values=[1, 8, 15, 22, last], format="d"),
    )
    y = alt.Y(
        "total:Q",
        axis=amount_axis(colours, tick_count=3),
    )
    tooltip = [
        alt.Tooltip("date:N", title="Up to"),
        alt.Tooltip("total_text:N", title=measure.title),
    ]
    base = alt.Chart(source).encode(x=x, y=y)

    def part(line: str) -> alt.Chart:
        return base.transform_filter(f"datum.line == '{line}'")

    month_end = (
        part("month")
        .transform_window(latest="max(number)", frame=[None, None])
        .transform_filter("datum.number == datum.latest")
    )
    drawn = {
        "before": [part("before").mark_line(color=colours.usual, strokeWidth=1.5, opacity=0.7)],
        "projected": [
            part("projected")
            .mark_area(color=colours.accent, opacity=0.14)
            .encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
            part("projected").mark_line(color=colours.accent, strokeWidth=1.75, strokeDash=[3, 4]),
        ],
        "month": [
            part("month").mark_area(color=colours.accent, opacity=0.12, line=False),
            part("month").mark_line(color=colours.accent, strokeWidth=2.25),
            month_end.mark_point(color=colours.accent, fill=colours.accent, size=46, opacity=1),
        ],
    }
    lines = {row["line"] for row in rows}
    layers = [layer for line in drawn if line in lines for layer in drawn[line]]
    if budget is not None and fits(budget, max((row["total"] for row in rows), default=0)):
        layers.append(
            alt.Chart(alt.InlineData(values=[{"budget": float(budget)}]))
            .mark_rule(color=colours.text, strokeDash=[6, 4], strokeWidth=1.5)
            .encode(y=alt.Y("budget:Q", axis=amount_axis(colours, tick_count=3)))
        )
    return calm([*layers, base.mark_point(size=120, opacity=0).encode(tooltip=tooltip)], 150)


def _projected(day: PathDay) -> dict[str, Any]:
    return {
        **_pace("projected", day.usage_date.day, day.projected_credits, day.usage_date, CREDITS),
        "low": float(day.projected_low_credits),
        "high": float(day.projected_high_credits),
    }


def _pace(line: str, number: int, total: Decimal, last: date, measure: Measure) -> dict[str, Any]:
    return {
        "line": line,
        "number": number,
        "total": float(total),
        "total_text": measure.text(total) + (" projected" if line == "projected" else ""),
        "date": formats.day(last),
    }


_Bar = tuple[datetime, Decimal | None, int, int]


def _as_bars(points: Sequence[Point], is_hourly: bool, today: date) -> list[_Bar]:
    """Start, credits (None for what is still to come), operations and failed ones of each bar."""
    bars: list[_Bar] = []
    by_month = is_monthly(points, is_hourly=is_hourly)
    for point in points:
        start, totals = point.starts_at, point.totals
        is_to_come = start.date() > today
        figures = (None if is_to_come else totals.credits, totals.events, totals.failed_events)
        if by_month and bars and (bars[-1][0].year, bars[-1][0].month) == (start.year, start.month):
            first, credits, events, failed = bars[-1]
            if figures[0] is not None:
                credits = (credits or Decimal(0)) + figures[0]
            bars[-1] = (first, credits, events + figures[1], failed + figures[2])
        else:
            bars.append((start, *figures))
    return bars


def _is_marked(day: Day) -> bool:
    return day.is_spike and day.credits > 0


def amount_axis(colours: Palette, tick_count: int) -> alt.Axis:
    """A vertical axis of amounts: faint lines and short labels."""
    return alt.Axis(
        title=None,
        tickCount=tick_count,
        labelExpr=AMOUNT,
        domain=False,
        ticks=False,
        gridColor=colours.grid,
        labelColor=colours.text,
        labelPadding=8,
    )


def plain_axis(colours: Palette, **more: Any) -> alt.Axis:
    """A horizontal axis that is labels and nothing else; ``more`` says which."""
    return alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        grid=False,
        labelColor=colours.text,
        labelPadding=8,
        **more,
    )


def calm(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    """The layers as one chart without a frame, as wide as its card."""
    chart: alt.LayerChart = (
        alt.layer(*layers)
        .properties(
            height=height, width="container", padding={"left": 4, "right": 4, "top": 4, "bottom": 0}
        )
        .configure_view(stroke=None)
        .configure(locale=_locale())
    )
    return chart


def _locale() -> alt.Locale:
    """How axes write numbers."""
    used = formats.in_use()
    return alt.Locale(
        number=alt.NumberLocale(
            decimal=used.decimal, thousands=used.thousands, grouping=[3], currency=["$", ""]
        )
    )
