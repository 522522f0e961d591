"""The projection's sections of Insights: the month by its parts, and how past months fared."""

from functools import partial

import streamlit as st

from app import charts_insights, context, formats, theme
from app.gate import Account, Gate
from app.insights_address import PARTS, InsightsView, link
from app.markup import (
    Child,
    Choice,
    Column,
    Html,
    badge,
    choices,
    figure,
    heading,
    named,
    stat,
    table,
    tag,
)
from app.queries.insights_projection import (
    ELAPSED_DAYS,
    Outlook,
    Projection,
    TrackRecord,
    track_record,
)
from app.queries.usage import Names
from app.views.parts import card, draw_chart, row, write

PARTS_SHOWN = 10
NO_MODEL = "(none)"


def draw(gate: Gate, account: Account, view: InsightsView) -> None:
    """Draw what the account's month is heading for, and how far that can be trusted."""
    outlook = context.outlook(gate, account.account_id)
    left, right = row("projection", 1.15, 1)
    with left, card("projection"):
        _projection(outlook, view, context.names(gate))
    with right, card("backtest"):
        _backtest(outlook, view)


def record_text(record: TrackRecord) -> str:
    """How past projections fared, in a sentence."""
    inside = f"{record.inside} of {record.projections} inside the range"
    if record.error_share is None:
        return f"The last {formats.plural(record.projections, 'projection')}: {inside}"
    off = f"off by {formats.share(record.error_share)}"
    if record.projections == 1:
        return f"The last projection was {off}; {inside}"
    return f"The last {record.projections} projections were {off} on average; {inside}"


def thin_badge(history_days: int) -> Html:
    """The label of a projection that knows too little."""
    return badge(
        f"rough estimate · {formats.plural(history_days, 'day')} of history",
        "warn",
        "With less than 14 days of usage the range is wide, and no more than a guess",
    )


def _projection(outlook: Outlook, view: InsightsView, names: Names) -> None:
    whole = outlook.whole
    if whole is None:
        write(
            heading("Projection"),
            tag(
                "p",
                "There was no usage in the last twelve weeks, so nothing is expected to come.",
                class_="mh-soft",
            ),
        )
        return
    write(
        heading(
            f"Projection of {formats.month(whole.month)}",
            choices(
                "By",
                [
                    Choice(
                        label,
                        link(outlook.account.account_id, InsightsView(part, view.elapsed_days)),
                        part == view.part,
                    )
                    for part, label in PARTS.items()
                ],
            ),
        ),
        stat(
            "Projected total",
            formats.credits(whole.projected_credits),
            f"80 % range {_range(whole)}",
            _cost_line(whole),
            thin_badge(whole.history_days) if whole.is_thin else None,
        ),
    )
    columns = [
        Column(PARTS[view.part]),
        Column("Projected", True),
        Column("80 % range", True, help="Of a part by itself: the ranges do not add up"),
    ]
    if outlook.sees_cost:
        columns.append(
            Column("Provider cost", True, True, "Expected for the whole month, US dollars")
        )
    parts = outlook.parts.get(view.part, ())
    rows = [_part_row(part, names)[: len(columns)] for part in parts]
    write(table(columns, rows[:PARTS_SHOWN]))
    if rows[PARTS_SHOWN:]:
        with st.expander(f"{len(rows) - PARTS_SHOWN} more"):
            write(table(columns, rows[PARTS_SHOWN:]))


def _part_row(part: Projection, names: Names) -> list[Child]:
    name = _name(part, names)
    detail = (
        f"new · {formats.plural(part.history_days, 'day')}, rough"
        if part.is_thin
        else formats.share(part.share)
    )
    return [
        named(formats.clip(name, 60), detail, part.part),
        figure(formats.credits(part.projected_credits), f"{formats.credits(part.credits)} so far"),
        tag("span", *(tag("span", text) for text in _bounds(part)), class_="mh-range"),
        formats.usd(part.projected_cost_usd),
    ]


def _name(part: Projection, names: Names) -> str:
    if part.scope == "category" and part.part in names.categories:
        return names.categories[part.part].label
    if part.scope == "model":
        if part.part == NO_MODEL:
            return "No model"
        if part.part in names.models:
            return names.models[part.part].model_name
    return part.part


def _range(projection: Projection) -> str:
    return "".join(_bounds(projection))


def _bounds(projection: Projection) -> tuple[str, str]:
    low, high = projection.projected_low_credits, projection.projected_high_credits
    return f"{formats.credits(low)} – ", formats.credits(high)


def _cost_line(whole: Projection) -> str | None:
    if whole.projected_cost_usd is None:
        return None
    low, high = whole.projected_low_cost_usd, whole.projected_high_cost_usd
    return (
        f"{formats.usd(whole.projected_cost_usd)} of provider cost"
        f" ({formats.usd(low)} – {formats.usd(high)})"
    )


def _backtest(outlook: Outlook, view: InsightsView) -> None:
    """The last months as they would have been projected, by how much of them was known."""
    write(
        heading(
            "Track record",
            choices(
                "After",
                [
                    Choice(
                        f"{days} days",
                        link(outlook.account.account_id, InsightsView(view.part, days)),
                        days == view.elapsed_days,
                    )
                    for days in ELAPSED_DAYS
                ],
            ),
        )
    )
    record = track_record(outlook.replays, view.elapsed_days)
    if record is None:
        write(
            tag(
                "p",
                "No past month can be replayed yet: a projection needs three months before it.",
                class_="mh-soft",
            )
        )
        return
    rows = charts_insights.replay_rows(outlook.replays, view.elapsed_days)
    write(
        tag("div", record_text(record), class_="mh-record"),
        tag(
            "div",
            tag("span", "80 % range", class_="mh-key mh-key-range"),
            tag("span", "projected", class_="mh-key mh-key-accent"),
            tag("span", "● came to", class_="mh-mark mh-good"),
            tag("span", "● outside the range", class_="mh-mark mh-warn")
            if any(each["kind"] == "outside" for each in rows)
            else None,
            class_="mh-keys mh-keys-left",
        ),
    )
    draw_chart(
        partial(charts_insights.replay_chart, rows, theme.palette(st.context.theme.type)),
        key="replays",
        alt=f"{formats.plural(len(rows), 'month')} as projected and as they came",
    )
    write(
        table(
            [
                Column("Projected after"),
                Column("Months", True, True),
                Column("Off by", True, help="Mean distance from the month's total"),
                Column(
                    "Run rate",
                    True,
                    True,
                    "How far off credits so far ÷ days × days of the month was",
                ),
                Column("In range", True, help="80 % of months should be"),
            ],
            [
                [
                    f"{found.elapsed_days} days",
                    formats.number(found.projections),
                    formats.share(found.error_share),
                    formats.share(found.run_rate_error_share),
                    figure(f"{found.inside} of {found.projections}"),
                ]
                for days in ELAPSED_DAYS
                if (found := track_record(outlook.replays, days)) is not None
            ],
        )
    )
