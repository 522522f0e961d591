"""Usage: every operation of one account, filtered, grouped, opened, taken away."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import streamlit as st

from app import address, charts, context, formats, theme
from app.gate import Account, Gate
from app.markup import (
    Child,
    Choice,
    Column,
    Html,
    Row,
    badge,
    choices,
    empty,
    heading,
    join,
    link,
    meter,
    notice,
    stat,
    table,
    tag,
)
from app.queries.usage import (
    PAGE_SIZE,
    EventPage,
    EventRow,
    Group,
    Names,
    PendingEvent,
    PendingEvents,
    Totals,
    UsageSummary,
    added,
    part_of,
)
from app.usage_address import (
    EventKey,
    Known,
    UsageView,
    parse,
    previous,
    render,
)
from app.usage_address import link as view_link
from app.views.parts import (
    card,
    draw_chart,
    open_account,
    status_line,
    watch,
    write,
)
from app.views.usage_event import draw_event
from app.views.usage_export import draw_export
from app.views.usage_filters import (
    NO_MODEL,
    category_label,
    draw_filters,
    filter_chips,
    model_label,
)
from app.views.usage_saved import draw_saved_views
from warehouse.usage.selection import Dimension, Selection, Sort

PENDING_ROWS = 5
"""Operations that are not settled yet and stand above the table; the rest is counted."""

DIMENSIONS = {
    Dimension.AGENT: "Agent",
    Dimension.CATEGORY: "Category",
    Dimension.MODEL: "Model",
    Dimension.DAY: "Day",
    Dimension.HOUR: "Hour",
}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def draw() -> None:
    """Draw the page for what its address asks for."""
    gate = context.open_gate()
    account = open_account(gate, "Usage", needs_usage=True)
    if account is None:
        return
    if account.first_usage_date is None:
        address.write({"account": account.account_id})
        write(
            empty(
                f"{account.name} has no usage yet",
                "Its first operations show here once they are loaded and published.",
            )
        )
    else:
        _account(gate, account)
    watch(gate.publication)


def _account(gate: Gate, account: Account) -> None:
    today = context.today(gate, account)
    view, remarks = parse(address.read(), _known(gate, account, today))
    if view.event is not None:
        address.write({"account": account.account_id, **render(view)})
        draw_event(gate, account, view, today)
        return

    def beside(chosen: UsageView) -> None:
        draw_saved_views(gate, account, chosen)
        draw_export(gate, account, chosen, today)

    view = draw_filters(gate, account, view, today, beside=beside)
    names = context.names(gate)
    filtered = filter_chips(account, view, names)
    if filtered is not None:
        write(filtered)
    if remarks:
        write(notice("quiet", "Not all of this address could be used.", *remarks))
    before = previous(view, today)
    summary = context.usage_summary(gate, account.account_id, view.selection, before)
    pending = context.usage_pending(gate, account.account_id, view.selection)
    if summary.totals.events and not view.group:
        page = context.usage_page(gate, account.account_id, view, summary)
        if page.number != view.page:
            write(
                notice(
                    "quiet",
                    f"There is no page {formats.number(view.page)}; this is the last, "
                    f"{formats.number(page.number)}.",
                )
            )
            view = replace(view, page=page.number)
    address.write({"account": account.account_id, **render(view)})
    write(_status_line(gate, account, view, pending))
    if summary.totals.events:
        as_of = context.freshness(gate).as_of
        sees_cost = gate.user.is_staff
        _summary(account, view, summary, before, today, as_of, sees_cost=sees_cost)
    if not summary.totals.events and not pending.totals.events:
        write(_nothing(account, view, today))
    elif view.group:
        _groups(gate, account, view, summary, names, today)
    else:
        _log(gate, account, view, summary, pending, names, today)


def _known(gate: Gate, account: Account, today: date) -> Known:
    facets = context.facets(gate, account)
    return Known(
        today=today,
        time_zone=account.time_zone,
        agents=frozenset(option.value for option in facets.agents),
        categories=frozenset(option.value for option in facets.categories),
        models=frozenset(option.value for option in facets.models),
        last_month=account.last_month,
    )


def _status_line(gate: Gate, account: Account, view: UsageView, pending: PendingEvents) -> Html:
    chosen = view.selection
    waiting: list[Child] = []
    if pending.totals.events:
        logged = pending.totals.logged_credits
        worth = f" · {formats.credits(logged)} credits logged" if logged else ""
        count = formats.plural(pending.totals.events, "operation")
        waiting.append(
            badge(
                f"{count} not settled yet{worth}",
                "warn",
                "Loaded after the published snapshot; not in the totals, the chart or groups",
            )
        )
    return status_line(
        gate,
        account.time_zone,
        formats.days(chosen.first, chosen.until - timedelta(days=1)),
        f"days in {account.time_zone}",
        after=waiting,
    )


def _nothing(account: Account, view: UsageView, today: date) -> Html:
    """What to do where nothing matches."""
    chosen = view.selection
    days = formats.days(chosen.first, chosen.until - timedelta(days=1))
    first, last = account.first_usage_date, account.last_usage_date
    span = f"{account.name} has usage from {formats.day(first)} to {formats.day(last)}."
    all_days = view.in_days(first, last + timedelta(days=1))
    ways: list[Child] = []
    if view != view.cleared():
        ways.append(link(view_link(account.account_id, view.cleared()), "Clear all filters"))
    if chosen.first > first or chosen.until <= last:
        ways.append(link(view_link(account.account_id, all_days), "Look at all days"))
    return empty(
        f"No operation matches in {days}" if view != view.cleared() else f"No usage in {days}",
        span,
        tag("span", *ways, class_="mh-ways") if ways else None,
    )


def _summary(
    account: Account,
    view: UsageView,
    summary: UsageSummary,
    before: Selection,
    today: date,
    as_of: datetime | None,
    *,
    sees_cost: bool,
) -> None:
    """The selection's totals, each beside the period before, and its course."""
    totals, old = summary.totals, summary.previous
    span = formats.days(before.first, before.until - timedelta(days=1))
    passed = _hours_passed(summary, as_of)
    if passed is not None:
        old = added([point.totals for point in summary.previous_points[:passed]])
        span += f", its first {formats.plural(passed, 'hour')}"
    elif _ends_today(summary, today) and as_of is not None:
        part = _part_of_day(as_of, account.time_zone)
        days = [point.totals for point in summary.previous_points]
        old = added([*days[:-1], part_of(days[-1], part)])
        span += " up to the same time of day"
    has_before = old.events > 0
    in_credits = totals.credits > 0
    with card("selection"):
        write(
            tag(
                "div",
                *(
                    stat(
                        each.label,
                        each.value,
                        _change(each.now, each.before, has_before),
                        each.detail,
                        help=each.help,
                        href=each.href,
                    )
                    for each in _figures(account, view, totals, old, sees_cost=sees_cost)
                ),
                class_="mh-figures",
            )
        )
        rows = charts.usage_rows(
            summary.points,
            summary.previous_points if has_before else (),
            is_hourly=summary.is_hourly,
            in_credits=in_credits,
            today=today,
        )
        is_monthly = charts.is_monthly(summary.points, is_hourly=summary.is_hourly)
        per = "an hour" if summary.is_hourly else "a month" if is_monthly else "a day"
        write(
            tag(
                "div",
                tag("span", f"{'Credits' if in_credits else 'Operations'} {per}", class_="mh-key"),
                tag("span", f"before: {span}", class_="mh-key mh-key-usual")
                if has_before
                else tag("span", f"No usage in {span} to compare with"),
                class_="mh-keys mh-keys-left",
            )
        )
        state = draw_chart(
            partial(charts.usage_chart, rows, _palette()),
            key=f"usage-chart-{crc32(view_link(account.account_id, view).encode())}",
            on_select="rerun",
            alt=f"{'Credits' if in_credits else 'Operations'} {per}, {len(rows)} bars",
        )
    clicked = charts.clicked_day(state)
    if clicked is not None and view.selection.days > 1:
        chosen = view.in_days(clicked, clicked + timedelta(days=1))
        if is_monthly:
            chosen = view.in_days(*_month_within(clicked, view.selection))
        address.write({"account": account.account_id, **render(chosen)})
        st.rerun()


def _ends_today(summary: UsageSummary, today: date) -> bool:
    """Whether the last day of the period before stands beside a day that still runs."""
    passed = (today - summary.selection.first).days + 1
    return 0 < passed <= summary.selection.days and passed == len(summary.previous_points)


def _part_of_day(as_of: datetime, zone: str) -> Decimal:
    """How much of the account's day had passed, from 0 to 1."""
    local = formats.utc(as_of).astimezone(ZoneInfo(zone))
    return Decimal(local.hour * 3600 + local.minute * 60 + local.second) / 86_400


def _hours_passed(summary: UsageSummary, as_of: datetime | None) -> int | None:
    """How many hours of a range drawn by hours had begun when the data were loaded.

    None where all had, and where it is drawn by days.
    """
    if not summary.is_hourly or as_of is None:
        return None
    passed = sum(point.starts_at <= formats.utc(as_of) for point in summary.points)
    return passed if 0 < passed < len(summary.points) else None


def _month_within(day: date, chosen: Selection) -> tuple[date, date]:
    month = day.replace(day=1)
    after = (month + timedelta(days=31)).replace(day=1)
    return max(month, chosen.first), min(after, chosen.until)


@dataclass(frozen=True)
class Figure:
    """One total, that of the period before, and what stands below it."""

    label: str
    value: str
    now: Decimal | int | None
    before: Decimal | int | None
    detail: Child = None
    help: str | None = None
    href: str | None = None


def _figures(
    account: Account, view: UsageView, totals: Totals, old: Totals, *, sees_cost: bool
) -> list[Figure]:
    """The totals that stand above the table."""

    def narrowed(**filters: Any) -> str:
        return view_link(account.account_id, view.narrowed(**filters))

    unrated, unpriced, failed = totals.unrated_events, totals.unpriced_events, totals.failed_events
    is_large = totals.events >= 1_000_000
    figures = [
        Figure(
            "Credits",
            formats.credits(totals.credits),
            totals.credits,
            old.credits,
            tag(
                "div",
                link(
                    narrowed(ratings=("unrated",)), f"{formats.number(unrated)} unrated, not in it"
                ),
                class_="mh-foot",
            )
            if unrated
            else None,
            "Credits of settled operations. Operations without a rate are held back.",
        ),
        Figure(
            "Operations",
            formats.compact(totals.events) if is_large else formats.number(totals.events),
            totals.events,
            old.events,
        ),
        Figure(
            "Failed",
            formats.number(failed),
            failed,
            old.failed_events,
            f"{formats.share(Decimal(failed) / totals.events)} of all" if totals.events else None,
            "Operations that failed or were cancelled. They count the credits that the log gives.",
            narrowed(statuses=("error", "cancelled")) if failed else None,
        ),
        Figure(
            "Tokens", formats.compact(totals.total_tokens), totals.total_tokens, old.total_tokens
        ),
    ]
    if sees_cost:
        figures.append(
            Figure(
                "Provider cost",
                formats.usd(totals.provider_cost_usd),
                totals.provider_cost_usd,
                old.provider_cost_usd,
                f"{formats.number(unpriced)} unpriced" if unpriced else None,
                "Tokens × the provider's list price at the time, US dollars. Operations of models "
                "without a known price are counted as unpriced, not as 0.",
            )
        )
    return figures


def _change(now: Decimal | int | None, was: Decimal | int | None, has_before: bool) -> Html | None:
    """By how much a total differs from the period before."""
    if not has_before or now is None or was is None:
        return None
    change = formats.change(Decimal(now), Decimal(was))
    text = change if change is not None else "new" if now else None
    if text is None:
        return None
    before = formats.number(was) if isinstance(was, int) else formats.credits(was)
    return tag("div", badge(text, title=f"{before} in the period before"), class_="mh-foot")


def _log_head(account: Account, view: UsageView, count: Child) -> Html:
    """The table's title, how many rows there are, and the ways to group them."""
    base = replace(view, page=1)

    def grouped(*by: Dimension) -> str:
        return view_link(account.account_id, replace(base, group=by))

    first = view.group[0] if view.group else None
    second = view.group[1] if len(view.group) == 2 else None
    ways = [
        choices(
            "Group by",
            [
                Choice("None", grouped(), first is None),
                *(
                    Choice(
                        label,
                        grouped(by, second) if second and second is not by else grouped(by),
                        by is first,
                    )
                    for by, label in DIMENSIONS.items()
                ),
            ],
        )
    ]
    if first is not None:
        ways.append(
            choices(
                "then by",
                [
                    Choice("None", grouped(first), second is None),
                    *(
                        Choice(label, grouped(first, by), by is second)
                        for by, label in DIMENSIONS.items()
                        if by is not first
                    ),
                ],
            )
        )
    return tag(
        "div",
        heading("Operations" if first is None else "Groups", count),
        tag("div", *ways, class_="mh-ways"),
        class_="mh-log-head",
    )


def _log(
    gate: Gate,
    account: Account,
    view: UsageView,
    summary: UsageSummary,
    pending: PendingEvents,
    names: Names,
    today: date,
) -> None:
    """A page of operations, those that are not settled yet above them."""
    with card("log"):
        page = (
            context.usage_page(gate, account.account_id, view, summary)
            if summary.totals.events
            else EventPage((), 1, 1, 0)
        )
        start = (page.number - 1) * PAGE_SIZE
        count = (
            f"{formats.number(start + 1)}–{formats.number(start + len(page.rows))}"
            f" of {formats.number(page.events)}"
            if page.events
            else "none settled yet"
        )
        rows: list[Row | Sequence[Child]] = []
        if page.number == 1:
            rows += _pending_rows(account, pending, names, today)
        rows += [[*_event_cells(account, view, row, names, today)] for row in page.rows]
        write(
            _log_head(account, view, f"{count} · times in {account.time_zone}"),
            table(_log_columns(account, view), rows),
            _pager(account, view, page),
        )


def _log_columns(account: Account, view: UsageView) -> list[Column]:
    def column(title: str, sort: Sort | None, is_figure: bool = False, **more: Any) -> Column:
        if sort is None:
            return Column(title, is_figure, **more)
        is_sorted = view.sort is sort
        turned = replace(
            view, sort=sort, is_descending=not view.is_descending if is_sorted else True, page=1
        )
        return Column(
            title,
            is_figure,
            href=view_link(account.account_id, turned),
            sorted_by=("descending" if view.is_descending else "ascending") if is_sorted else None,
            **more,
        )

    return [
        column("Time", Sort.TIME),
        column("Agent", None),
        column("Category", None, is_wide_only=True),
        column("Model", None, is_wide_only=True),
        column("Execution", Sort.EXECUTION_TIME, True, is_wide_only=True),
        column("Tokens", Sort.TOKENS, True, is_wide_only=True),
        column("Credits", Sort.CREDITS, True),
        column("Status", None),
    ]


def _event_cells(
    account: Account, view: UsageView, row: EventRow, names: Names, today: date
) -> list[Child]:
    key = EventKey(row.usage_date_utc, row.source, row.event_id)
    time = formats.clock(row.occurred_at, account.time_zone, today)
    return [
        link(
            view_link(account.account_id, replace(view, event=key)),
            time,
            class_="mh-row-link mh-time mh-up",
        ),
        *_what(row, names),
        formats.duration(row.execution_ms),
        formats.number(row.total_tokens),
        badge("unrated", "warn", "No rate applies; held back")
        if row.rating_status == "unrated"
        else formats.credits(row.credits),
        _status(row.status),
    ]


def _what(row: EventRow | PendingEvent, names: Names) -> list[Child]:
    """Agent, category and model; on a phone all in one cell."""
    category = category_label(names, row.category)
    model = formats.DASH if row.model == NO_MODEL else model_label(names, row.model)
    return [
        tag(
            "div",
            tag("div", row.agent_id, class_="mh-name", title=row.agent_id),
            tag("div", f"{model} · {category}", class_="mh-detail mh-narrow"),
            class_="mh-named",
        ),
        tag(
            "span",
            tag("i", class_="mh-dot", style=f"background:{theme.category_colour(row.category)}"),
            category,
            class_="mh-nowrap",
        ),
        tag("div", model, class_="mh-name mh-cut", title=row.model),
    ]


def _status(status: str) -> Html:
    if status == "ok":
        return tag("span", "OK", class_="mh-soft")
    return badge("failed" if status == "error" else status, "bad" if status == "error" else "quiet")


def _pending_rows(
    account: Account, pending: PendingEvents, names: Names, today: date
) -> list[Row | Sequence[Child]]:
    """What arrived after the published snapshot, labelled so; it cannot be opened yet."""
    rows: list[Row | Sequence[Child]] = [
        Row(
            [
                tag(
                    "span",
                    formats.clock(row.occurred_at, account.time_zone, today),
                    class_="mh-time",
                ),
                *_what(row, names),
                formats.duration(row.execution_ms),
                formats.DASH,
                formats.credits(row.credits),
                badge("not settled", "warn", "Loaded after the published snapshot"),
            ],
            "mh-pending",
        )
        for row in pending.rows[:PENDING_ROWS]
    ]
    more = pending.totals.events - min(len(pending.rows), PENDING_ROWS)
    if more > 0:
        text = f"{formats.plural(more, 'more operation')} not settled yet"
        rows.append(Row([tag("span", text, class_="mh-over"), *[""] * 7], "mh-pending mh-more"))
    return rows


def _pager(account: Account, view: UsageView, page: EventPage) -> Html | None:
    """The way to other pages; None where there is one."""
    if page.pages <= 1:
        return None

    def to(number: int, text: str, label: str) -> Html:
        if not 1 <= number <= page.pages or number == page.number:
            return tag("span", text, class_="mh-choice mh-off", aria_disabled="true")
        return link(
            view_link(account.account_id, replace(view, page=number)),
            text,
            label=label,
            class_="mh-choice",
        )

    return tag(
        "nav",
        to(1, "« First", "First page"),
        to(page.number - 1, "‹ Newer" if _is_newest_first(view) else "‹ Previous", "Page before"),
        tag(
            "span",
            f"Page {formats.number(page.number)} of {formats.number(page.pages)}",
            class_="mh-soft",
        ),
        to(page.number + 1, "Older ›" if _is_newest_first(view) else "Next ›", "Next page"),
        to(page.pages, "Last »", "Last page"),
        class_="mh-pager",
        aria_label="Pages",
    )


def _is_newest_first(view: UsageView) -> bool:
    return view.sort is Sort.TIME and view.is_descending


def _groups(
    gate: Gate,
    account: Account,
    view: UsageView,
    summary: UsageSummary,
    names: Names,
    today: date,
) -> None:
    """The selection by one or two dimensions, each group leading to its operations."""
    groups = context.usage_groups(
        gate, account.account_id, view.selection, view.group, summary.totals
    )
    shown = len(groups.rows)
    count = (
        f"{shown} of {formats.number(shown + groups.rest_groups)}, the largest first"
        if groups.rest_groups
        else formats.plural(shown, "group")
    )
    top = max((row.share for row in groups.rows), default=Decimal(0))
    most = max((row.events for row in groups.rows), default=0)
    in_credits = groups.totals.credits > 0
    columns = [
        *(Column(DIMENSIONS[by], is_wide_only=place > 0) for place, by in enumerate(view.group)),
        Column("Share", help=f"Of all {'credits' if in_credits else 'operations'} selected"),
        Column("Credits", True),
        Column("Operations", True, is_wide_only=True),
        Column("Failed", True, is_wide_only=True),
        Column("Tokens", True, is_wide_only=True),
    ]

    def cells(row: Group, keys: list[Child]) -> list[Child]:
        share = row.share if in_credits else Decimal(row.events) / max(groups.totals.events, 1)
        longest = top if in_credits else Decimal(most) / max(groups.totals.events, 1)
        return [
            *keys,
            tag(
                "div",
                meter(share, longest),
                tag("span", formats.share(share), class_="mh-detail"),
                class_="mh-share",
            ),
            _group_credits(row),
            formats.number(row.events),
            formats.number(row.failed_events) if row.failed_events else formats.DASH,
            formats.compact(row.total_tokens),
        ]

    rows: list[Row | Sequence[Child]] = []
    for row in groups.rows:
        texts = [
            _key_text(by, key, names, today) for by, key in zip(view.group, row.keys, strict=True)
        ]
        href = view_link(account.account_id, _inside(view, row, account))
        first = tag(
            "div",
            link(href, texts[0], class_="mh-row-link mh-name"),
            tag("div", texts[1], class_="mh-detail mh-narrow") if len(texts) == 2 else None,
            class_="mh-named",
            title=" · ".join(texts),
        )
        rows.append(cells(row, [first, *(tag("div", text, class_="mh-cut") for text in texts[1:])]))
    if groups.rest is not None:
        rest = f"{formats.plural(groups.rest_groups, 'other')}"
        keys: list[Child] = [tag("span", rest, class_="mh-soft"), *[""] * (len(view.group) - 1)]
        rows.append(Row(cells(groups.rest, keys), "mh-rest"))
    with card("log"):
        write(_log_head(account, view, count), table(columns, rows))


def _group_credits(row: Group) -> Child:
    """A group's credits, and how many of its operations are held back: no silent zero."""
    if not row.unrated_events:
        return formats.credits(row.credits)
    note = badge(
        f"{formats.number(row.unrated_events)} unrated", "warn", "No rate applies; held back"
    )
    if not row.credits:
        return note
    return join([note, f" {formats.credits(row.credits)}"])


def _key_text(by: Dimension, key: Any, names: Names, today: date) -> str:
    """What a group is called."""
    if by is Dimension.CATEGORY:
        return category_label(names, key)
    if by is Dimension.MODEL:
        return model_label(names, key)
    if by is Dimension.DAY:
        written = formats.short_day(key) if key.year == today.year else formats.day(key)
        return f"{_WEEKDAYS[key.weekday()]} {written}"
    return formats.hours(key) if by is Dimension.HOUR else str(key)


def _inside(view: UsageView, group: Group, account: Account) -> UsageView:
    """The view of one group's operations."""
    for by, key in zip(view.group, group.keys, strict=True):
        if by is Dimension.DAY:
            view = view.in_days(key, key + timedelta(days=1))
        elif by is Dimension.HOUR:
            view = view.at_hours((key,), account.time_zone)
        else:
            name = {
                Dimension.AGENT: "agents",
                Dimension.CATEGORY: "categories",
                Dimension.MODEL: "models",
            }[by]
            view = view.narrowed(**{name: (key,)})
    return replace(view, group=())


def _palette() -> theme.Palette:
    return theme.palette(st.context.theme.type)


if __name__ == "__main__":
    draw()
