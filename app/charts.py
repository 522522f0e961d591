"""The charts: pure functions from figures to Altair. Floats only here, where pixels are drawn."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import altair as alt

from app import formats
from app.queries.overview import Day, previous_month
from app.theme import Palette

DAYS_SHOWN = 45
LABELLED_SPIKES = 4
_AMOUNT = "format(datum.value, datum.value < 100000 ? ',.6~g' : '.3~s')"


def trend_rows(days: Sequence[Day], month: date, partial: date | None) -> list[dict[str, Any]]:
    """One row a day of the last :data:`DAYS_SHOWN`, with its texts; ``partial`` is still running.

    ``kind`` says how it is drawn: ``before`` (of the month before), ``month`` or ``partial``. A
    spike is split at what is usual at most for its weekday: ``base`` below, the rest above. Only
    spikes of the month itself are marked, and the largest of them say how many times the usual.
    """
    shown = days[-DAYS_SHOWN:]
    largest = sorted(
        (day for day in shown if _is_marked(day) and day.usage_date >= month),
        key=lambda day: day.credits,
        reverse=True,
    )
    labelled = {day.usage_date for day in largest[:LABELLED_SPIKES]}
    rows = []
    for day in shown:
        usual = day.median_credits
        is_spike = _is_marked(day)
        high = min(day.high_credits, day.credits) if is_spike and day.high_credits else day.credits
        times = day.credits / usual if is_spike and usual else None
        rows.append(
            {
                "day": day.usage_date.isoformat(),
                "date": formats.day(day.usage_date),
                "kind": "before"
                if day.usage_date < month
                else "partial"
                if day.usage_date == partial
                else "month",
                "credits": float(day.credits),
                "base": float(high),
                "usual": None if usual is None else float(usual),
                "mark": f"▲ {formats.number(times, 1)}×"
                if times and day.usage_date in labelled
                else "▲"
                if is_spike and day.usage_date >= month
                else "",
                "credits_text": formats.credits(day.credits)
                + (" so far" if day.usage_date == partial else ""),
                "usual_text": formats.credits(usual),
                "events_text": formats.number(day.events),
                "failed_text": formats.number(day.failed_events),
            }
        )
    return rows


def trend_chart(rows: Sequence[dict[str, Any]], colours: Palette) -> alt.LayerChart:
    """Credits a day as bars, what is usual as a calm line, the part above it marked on spikes."""
    source = alt.InlineData(values=list(rows))
    order = [row["day"] for row in rows]
    x = alt.X(
        "day:O",
        sort=order,
        axis=alt.Axis(
            title=None,
            values=order[::-7][::-1],
            labelExpr="utcFormat(toDate(datum.value), '%-d %b')",
            labelAngle=0,
            labelFlush=False,
            ticks=False,
            domain=False,
            grid=False,
            labelColor=colours.text,
            labelPadding=8,
        ),
        scale=alt.Scale(paddingInner=0.22, paddingOuter=0.05),
    )
    axis = alt.Axis(
        title=None,
        tickCount=4,
        labelExpr=_AMOUNT,
        domain=False,
        ticks=False,
        gridColor=colours.grid,
        labelColor=colours.text,
        labelPadding=8,
    )
    tooltip = [
        alt.Tooltip("date:N", title="Day"),
        alt.Tooltip("credits_text:N", title="Credits"),
        alt.Tooltip("usual_text:N", title="Usual for the weekday"),
        alt.Tooltip("events_text:N", title="Operations"),
        alt.Tooltip("failed_text:N", title="Failed"),
    ]
    fill = alt.Color(
        "kind:N",
        legend=None,
        scale=alt.Scale(
            domain=["before", "month", "partial"],
            range=[colours.faded, colours.accent, colours.accent],
        ),
    )
    opacity = alt.condition("datum.kind == 'partial'", alt.value(0.5), alt.value(1.0))
    base = alt.Chart(source).encode(x=x)
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        y=alt.Y("base:Q", axis=axis), color=fill, opacity=opacity, tooltip=tooltip
    )
    above = (
        base.transform_filter("datum.credits > datum.base")
        .mark_bar(cornerRadiusEnd=2, color=colours.spike)
        .encode(
            y=alt.Y("base:Q", axis=axis),
            y2="credits:Q",
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
        .encode(y=alt.Y("credits:Q", axis=axis), text="mark:N", tooltip=tooltip)
        for drawn in (
            {"color": colours.surface, "stroke": colours.surface, "strokeWidth": 4},
            {"color": colours.spike},
        )
    ]
    layers = [bars]
    if any(row["credits"] > row["base"] for row in rows):
        layers.append(above)
    layers.append(usual)
    if any(row["mark"] for row in rows):
        layers.extend(marks)
    return _calm(layers, height=250)


def pace_rows(
    days: Sequence[Day], month: date, days_in_month: int, projected: Decimal | None
) -> list[dict[str, Any]]:
    """Credits summed from the first day of a month: this one, the one before, the projection.

    ``projected`` is None for a complete month, which has no projection to draw.
    """
    before = previous_month(month)
    rows: list[dict[str, Any]] = []
    for line, first in (("before", before), ("month", month)):
        total = Decimal(0)
        for day in days:
            if day.usage_date.replace(day=1) != first:
                continue
            total += day.credits
            rows.append(_pace(line, day.usage_date.day, total, day.usage_date))
    current = [row for row in rows if row["line"] == "month"]
    if projected is not None and current and current[-1]["number"] < days_in_month:
        last = month + timedelta(days=days_in_month - 1)
        rows.append({**current[-1], "line": "projected"})
        rows.append(_pace("projected", days_in_month, projected, last))
    return rows


def pace_chart(rows: Sequence[dict[str, Any]], colours: Palette) -> alt.LayerChart:
    """The month's credits growing day by day, beside the month before and to the projection."""
    last = max([28, *(row["number"] for row in rows)])
    source = alt.InlineData(values=list(rows))
    x = alt.X(
        "number:Q",
        scale=alt.Scale(domain=[1, last], nice=False),
        axis=alt.Axis(
            title=None,
            values=[1, 8, 15, 22, last],
            format="d",
            domain=False,
            ticks=False,
            grid=False,
            labelColor=colours.text,
            labelPadding=6,
        ),
    )
    y = alt.Y(
        "total:Q",
        axis=alt.Axis(
            title=None,
            tickCount=3,
            labelExpr=_AMOUNT,
            domain=False,
            ticks=False,
            gridColor=colours.grid,
            labelColor=colours.text,
            labelPadding=6,
        ),
    )
    tooltip = [
        alt.Tooltip("date:N", title="Up to"),
        alt.Tooltip("total_text:N", title="Credits"),
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
            part("projected").mark_line(color=colours.accent, strokeWidth=1.75, strokeDash=[3, 4])
        ],
        "month": [
            part("month").mark_area(color=colours.accent, opacity=0.12, line=False),
            part("month").mark_line(color=colours.accent, strokeWidth=2.25),
            month_end.mark_point(color=colours.accent, fill=colours.accent, size=46, opacity=1),
        ],
    }
    lines = {row["line"] for row in rows}
    layers = [layer for line in drawn if line in lines for layer in drawn[line]]
    return _calm([*layers, base.mark_point(size=120, opacity=0).encode(tooltip=tooltip)], 150)


def _pace(line: str, number: int, total: Decimal, last: date) -> dict[str, Any]:
    return {
        "line": line,
        "number": number,
        "total": float(total),
        "total_text": formats.credits(total) + (" projected" if line == "projected" else ""),
        "date": formats.day(last),
    }


def _is_marked(day: Day) -> bool:
    return day.is_spike and day.credits > 0


def _calm(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    """The layers as one chart without a frame, as wide as its card."""
    chart: alt.LayerChart = (
        alt.layer(*layers)
        .properties(
            height=height, width="container", padding={"left": 4, "right": 4, "top": 4, "bottom": 0}
        )
        .configure_view(stroke=None)
    )
    return chart
