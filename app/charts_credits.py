"""The chart of a balance's history: pure functions from days to Altair."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypedDict

import altair as alt

from app import formats
from app.charts import amount_axis, calm, plain_axis
from app.queries.credits import BalanceDay
from app.theme import Palette


class BalanceRow(TypedDict):
    """A day as it is drawn."""

    day: str
    date: str
    balance: float
    granted: float
    lost: float
    balance_text: str
    granted_text: str
    used_text: str
    lost_text: str


def balance_rows(days: Sequence[BalanceDay], history: str) -> list[BalanceRow]:
    """One row a day of the last ``history`` days (``all``: from the first), with its texts."""
    if history != "all" and days:
        first = days[-1].balance_date - timedelta(days=int(history) - 1)
        days = [day for day in days if day.balance_date >= first]
    return [
        {
            "day": day.balance_date.isoformat(),
            "date": formats.day(day.balance_date),
            "balance": float(day.closing_credits),
            "granted": float(day.granted_credits),
            "lost": float(day.forfeited_credits),
            "balance_text": formats.credits(day.closing_credits),
            "granted_text": formats.credits(day.granted_credits),
            "used_text": formats.credits(day.consumed_credits + day.overage_credits),
            "lost_text": formats.credits(day.forfeited_credits),
        }
        for day in days
    ]


def balance_chart(rows: Sequence[BalanceRow], colours: Palette) -> alt.LayerChart:
    """The balance as an area, a line at zero, grants and losses as marks on it."""
    source = alt.InlineData(values=list(rows))
    first, last = date.fromisoformat(rows[0]["day"]), date.fromisoformat(rows[-1]["day"])
    span = (last - first).days
    x = alt.X(
        "day:T",
        scale=alt.Scale(type="utc"),
        axis=plain_axis(
            colours,
            format=formats.in_use().axis_day if span < 200 else "%b %Y",
            tickCount=min(6, max(2, span)),
            labelAngle=0,
            labelOverlap=True,
        ),
    )
    y = alt.Y(
        "balance:Q",
        axis=amount_axis(colours, tick_count=4),
    )
    tooltip = [
        alt.Tooltip("date:N", title="Day"),
        alt.Tooltip("balance_text:N", title="Balance at its end"),
        alt.Tooltip("used_text:N", title="Used"),
        alt.Tooltip("granted_text:N", title="Granted"),
        alt.Tooltip("lost_text:N", title="Expired or voided"),
    ]
    base = alt.Chart(source).encode(x=x, y=y)
    layers = [
        base.mark_area(color=colours.accent, opacity=0.12, interpolate="step-after", line=False),
        base.mark_line(color=colours.accent, strokeWidth=2, interpolate="step-after"),
    ]
    if any(row["balance"] < 0 for row in rows):
        layers.append(
            alt.Chart(alt.InlineData(values=[{"zero": 0}]))
            .mark_rule(color=colours.spike, strokeDash=[3, 3])
            .encode(y=alt.Y("zero:Q"))
        )
    for field, is_there, shape, colour in (
        ("granted", any(row["granted"] for row in rows), "triangle-up", colours.good),
        ("lost", any(row["lost"] for row in rows), "triangle-down", colours.spike),
    ):
        if is_there:
            layers.append(
                base.transform_filter(f"datum.{field} > 0").mark_point(
                    shape=shape, color=colour, fill=colour, size=70, opacity=1
                )
            )
    layers.append(base.mark_point(size=160, opacity=0).encode(tooltip=tooltip))
    return calm(layers, height=250)
