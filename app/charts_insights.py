"""The chart of past projections: pure functions from replays to Altair."""

from collections.abc import Sequence
from typing import TypedDict

import altair as alt

from app import formats
from app.charts import amount_axis, calm, plain_axis
from app.queries.insights_projection import Replay
from app.theme import Palette


class ReplayRow(TypedDict):
    """A past month as it is drawn."""

    month: str
    tick: str
    projected: float
    low: float
    high: float
    actual: float
    kind: str
    actual_text: str
    projected_text: str
    range_text: str
    error_text: str


def replay_rows(replays: Sequence[Replay], elapsed_days: int) -> list[ReplayRow]:
    """One row a month of the projections made after ``elapsed_days``, with its texts."""
    return [
        {
            "month": formats.month(replay.month),
            "tick": f"{replay.month:%b}",
            "projected": float(replay.projected_credits),
            "low": float(replay.projected_low_credits),
            "high": float(replay.projected_high_credits),
            "actual": float(replay.actual_credits),
            "kind": "inside" if replay.is_inside else "outside",
            "actual_text": formats.credits(replay.actual_credits),
            "projected_text": formats.credits(replay.projected_credits),
            "range_text": f"{formats.credits(replay.projected_low_credits)} – "
            f"{formats.credits(replay.projected_high_credits)}",
            "error_text": formats.share(replay.error_share),
        }
        for replay in replays
        if replay.elapsed_days == elapsed_days
    ]


def replay_chart(rows: Sequence[ReplayRow], colours: Palette) -> alt.LayerChart:
    """Ranges as bars, the projection as a tick in them, the outcome as a point."""
    labels = [row["month"] for row in rows]
    x = alt.X(
        "month:N",
        sort=labels,
        axis=plain_axis(colours, labelExpr="slice(datum.label, 0, 3)", labelAngle=0),
        scale=alt.Scale(domain=labels, paddingInner=0.5, paddingOuter=0.25),
    )
    axis = amount_axis(colours, tick_count=4)
    tooltip = [
        alt.Tooltip("month:N", title="Month"),
        alt.Tooltip("actual_text:N", title="Came to"),
        alt.Tooltip("projected_text:N", title="Projected"),
        alt.Tooltip("range_text:N", title="80 % range"),
        alt.Tooltip("error_text:N", title="Off by"),
    ]
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(x=x, tooltip=tooltip)
    ranges = base.mark_bar(color=colours.accent, opacity=0.2, cornerRadius=3).encode(
        y=alt.Y("low:Q", axis=axis), y2="high:Q"
    )
    middles = base.mark_tick(color=colours.accent, thickness=2, width={"band": 1.0}).encode(
        y=alt.Y("projected:Q", axis=axis)
    )
    outcomes = base.mark_point(size=64, opacity=1, filled=True).encode(
        y=alt.Y("actual:Q", axis=axis),
        color=alt.Color(
            "kind:N",
            legend=None,
            scale=alt.Scale(domain=["inside", "outside"], range=[colours.good, colours.spike]),
        ),
    )
    return calm([ranges, middles, outcomes], height=220)
