"""Overview: what one account used in one month, what it costs, where it is heading."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import streamlit as st

from app import charts, context, formats, theme
from app.address import choose, month_id
from app.address import write as write_address
from app.gate import Account, Gate
from app.insights_address import InsightsView
from app.insights_address import link as insights_link
from app.markup import (
    Bar,
    Child,
    Column,
    Html,
    badge,
    bars,
    empty,
    figure,
    heading,
    join,
    link,
    meter,
    named,
    notice,
    sparkline,
    stat,
    table,
    tag,
)
from app.queries.overview import (
    TOP_AGENTS,
    AgentUse,
    Freshness,
    ModelUse,
    MonthTotals,
    Overview,
    Pending,
    known_credits,
    months_of,
    next_month,
    previous_month,
)
from app.usage_address import UsageView
from app.usage_address import link as usage_link
from app.usage_address import render as render_usage
from app.views.balance import draw_balance
from app.views.first_source import draw_steps
from app.views.insights_incidents import explanation, title, usage_behind
from app.views.insights_projection import record_text, thin_badge
from app.views.parts import (
    card,
    choose_account,
    draw_chart,
    no_accounts,
    nothing_published,
    row,
    status_line,
    watch,
    write,
)
from billing.incidents import Incident
from warehouse.usage.selection import Dimension, Selection

MODELS_SHOWN = 8
NO_MODEL = "(none)"
"""How the marts name the usage that names no model."""


def render() -> None:
    """Draw the page for the account and month of the address."""
    gate = context.open_gate()
    accounts = context.accounts(gate)
    if gate.publication is None:
        if accounts:
            account, _, note = _choose(accounts)
            if note:
                write(notice("quiet", note))
            draw_balance(gate, account)
            write(nothing_published(gate))
        elif gate.user.is_staff:
            write(tag("h1", "Welcome"))
            draw_steps(gate)
        else:
            write(tag("h1", "Overview"), nothing_published(gate))
        watch(None)
        return
    if not accounts:
        write(tag("h1", "Overview"), no_accounts(gate))
        return
    account, month, note = _choose(accounts)
    if note:
        write(notice("quiet", note))
    if gate.user.is_staff and context.first_source(gate).is_sample_alone:
        write(
            notice(
                "quiet", "This is sample usage.", link("first-source", "The way to your own usage")
            )
        )
    draw_balance(gate, account)
    if month is None:
        write(
            empty(
                f"{account.name} has no usage yet",
                "Its first operations show here once they are loaded and published.",
            )
        )
    else:
        _month(gate, account, month)
    watch(gate.publication)


def _choose(accounts: list[Account]) -> tuple[Account, date | None, str | None]:
    """The page's head: its title and the two choosers; a note where the address asked in vain."""
    with st.container(key="page-head", horizontal=True, vertical_alignment="center"):
        write(tag("h1", "Overview"))
        with st.container(
            key="choosers", horizontal=True, horizontal_alignment="right", width="stretch"
        ):
            account, missed_account = choose_account(accounts)
            months = {month_id(month): month for month in months_of(account)}
            missed_month = None
            choices = {"account": account.account_id}
            if months:
                choices["month"], missed_month = choose(
                    "month", "Month", list(months), lambda text: formats.month(months[text])
                )
    write_address(choices)
    month = months.get(choices.get("month", ""))
    name = formats.clip(account.name, 60)
    if missed_account is not None:
        return account, month, f"There is no account “{missed_account}”. This is {name}."
    if missed_month is not None:
        return (
            account,
            month,
            f"{name} has no usage in “{missed_month}”. This is {formats.month(month)}.",
        )
    return account, month, None


def _month(gate: Gate, account: Account, month: date) -> None:
    view = context.overview(gate, account.account_id, month)
    fresh = context.freshness(gate)
    pending = context.pending(gate, account.account_id)
    write(_status_line(gate, view, pending))
    if view.totals is None or not view.totals.events:
        write(
            empty(
                f"No usage in {formats.month(month)}",
                f"{account.name} used nothing in this month.",
            )
        )
        return
    if view.totals.unrated_events:
        write(_unrated(view, view.totals))
    budget = gate.enter(account.account_id).monthly_limit(month) if view.is_in_credits else None
    _totals(view, view.totals, budget)
    running = _running_day(view, fresh)
    left, right = row("use", 1.75, 1)
    with left:
        _trend(gate, view, running, budget)
    with right:
        _categories(view, view.totals)
    left, right = row("who", 1.12, 1)
    with left:
        _models(view)
    with right:
        _agents(view)


def _status_line(gate: Gate, view: Overview, pending: Pending) -> Html:
    """Whose days these are, how fresh they are, and what is not settled yet."""
    account = view.account
    first, last = view.month, view.days[-1].usage_date if view.days else view.month
    waiting: list[Child] = []
    if pending.events:
        logged = pending.logged_credits
        worth = f" · {formats.credits(logged)} credits logged" if logged else ""
        waiting.append(
            link(
                _behind(view),
                badge(
                    f"{formats.plural(pending.events, 'operation')} not settled yet{worth}",
                    "warn",
                    "Loaded after the published snapshot; not in the figures below",
                ),
            )
        )
    return status_line(
        gate,
        account.time_zone,
        formats.days(first, max(first, last)),
        f"days in {account.time_zone}",
        after=waiting,
    )


def _behind(view: Overview, group: tuple[Dimension, ...] = (), **filters: Any) -> str:
    """The address of the usage behind a figure of the month."""
    month = Selection(
        view.month, next_month(view.month), time_zone=view.account.time_zone, **filters
    )
    return usage_link(view.account.account_id, UsageView(month, group=group))


def _unrated(view: Overview, totals: MonthTotals) -> Html:
    low, high = totals.exposure_low_credits, totals.exposure_high_credits
    if high is None:
        worth = "What they are worth is not known: no rate of their category exists."
    else:
        worth = f"They may be worth {formats.credits(low)} to {formats.credits(high)} credits."
    return notice(
        "warn",
        f"{formats.plural(totals.unrated_events, 'operation')} without a rate",
        f"They are held back and not in these figures. {worth}",
        link(_behind(view, ratings=("unrated",)), "Show them"),
    )


def _totals(view: Overview, totals: MonthTotals, budget: Decimal | None) -> None:
    """The month in one figure and how it got there; four smaller figures beside it."""
    name = formats.month_name(view.month)
    before = formats.month_name(previous_month(view.month))
    measure = _measure(view)
    left, right = row("totals", 1.75, 1)
    with left, card("used"):
        number, pace = st.columns([1, 1.5], gap="medium", vertical_alignment="center")
        with number:
            write(
                stat(
                    f"Credits used in {name}",
                    formats.credits(known_credits(totals)),
                    *_compared(view, totals, before),
                    is_big=True,
                    href=_behind(view),
                )
            )
        with pace:
            rows = charts.pace_rows(view.days, view.month, view.path, measure)
            write(_pace_key(view, totals, name, before, budget))
            draw_chart(
                partial(charts.pace_chart, rows, _palette(), measure, budget),
                key="pace",
                alt=f"{measure.title} summed over the days of {name}",
            )
        if not totals.is_complete and view.is_in_credits:
            write(_outlook(view, totals))
    with right:
        _tiles(view, totals, name)


def _compared(view: Overview, totals: MonthTotals, before: str) -> list[Child]:
    """How the month stands beside the same days of the month before, and all of it."""
    previous, to_date = totals.previous_credits, totals.previous_credits_to_date
    if known_credits(totals) is None:
        return [f"No rate yet for {formats.plural(totals.unrated_events, 'operation')}"]
    if previous is None:
        return [f"No usage in {before} to compare with"]
    base = previous if totals.is_complete else to_date
    change = formats.change(totals.credits, base)
    against = f"vs. {before}" if totals.is_complete else f"vs. same days of {before}"
    lines: list[Child] = [
        tag("div", badge(change), " ", against, class_="mh-foot") if change else None
    ]
    if not totals.is_complete:
        lines.append(f"{formats.credits(to_date)} by then in {before}")
    whole = f"{formats.credits(previous)} in all of {before}"
    month_before = Selection(
        previous_month(view.month), view.month, time_zone=view.account.time_zone
    )
    href = usage_link(view.account.account_id, UsageView(month_before))
    return [*lines, tag("div", link(href, whole), class_="mh-foot")]


def _measure(view: Overview) -> charts.Measure:
    """What the charts draw: credits, or operations where there are none."""
    return charts.CREDITS if view.is_in_credits else charts.OPERATIONS


def _pace_key(
    view: Overview, totals: MonthTotals, name: str, before: str, budget: Decimal | None
) -> Html:
    return tag(
        "div",
        None if view.is_in_credits else tag("span", "operations"),
        tag("span", name, class_="mh-key mh-key-accent"),
        tag("span", before, class_="mh-key mh-key-usual")
        if totals.previous_credits is not None
        else None,
        tag("span", "projected", class_="mh-key mh-key-dots") if view.path else None,
        _budget_key(view, f"budget {formats.credits(budget)}") if budget else None,
        class_="mh-keys",
    )


def _budget_key(view: Overview, text: str) -> Html:
    href = f"budgets?{urlencode({'account': view.account.account_id})}"
    return tag("span", link(href, text), class_="mh-key mh-key-budget")


def _outlook(view: Overview, totals: MonthTotals) -> Html:
    """Where the month is heading in words: when credits run out, how far it can be trusted."""
    parts: list[Child] = []
    if totals.run_out_date is not None:
        parts.append(
            tag(
                "span",
                f"Credits run out about {formats.day(totals.run_out_date)}",
                tag("span", f" ({run_out_range(totals)})", class_="mh-soft"),
            )
        )
    if totals.is_thin:
        parts.append(thin_badge(totals.history_days or 0))
    if view.record is not None:
        parts.append(
            tag("span", link(insights_link(view.account.account_id), record_text(view.record)))
        )
    return tag("div", *parts, class_="mh-outlook")


def run_out_range(totals: MonthTotals) -> str:
    """The 80 % range of the day on which credits run out."""
    first, last = totals.earliest_run_out_date, totals.latest_run_out_date
    if first is None:
        return "or later"
    return f"{formats.day(first)} or later" if last is None else formats.days(first, last)


@dataclass(frozen=True)
class Tile:
    """A small card with one figure."""

    key: str
    label: str
    value: str
    detail: Child
    href: str
    help: str | None = None


def _tiles(view: Overview, totals: MonthTotals, name: str) -> None:
    """Four figures in two rows, each leading to the usage behind it."""
    by_day, by_model = _behind(view, (Dimension.DAY,)), _behind(view, (Dimension.MODEL,))
    first = _average(totals, by_day) if totals.is_complete else _projection(totals, name, by_day)
    failed = _behind(view, statuses=("error", "cancelled"))
    for pair in (
        (first, _cost(totals, by_model) if view.sees_cost else _agent_count(view)),
        (_operations(totals, _behind(view), failed), _tokens(view, totals, by_model)),
    ):
        for column, tile in zip(st.columns(2, gap="small", wrap=False), pair, strict=True):
            with column, card(tile.key):
                write(stat(tile.label, tile.value, tile.detail, help=tile.help, href=tile.href))


def _projection(totals: MonthTotals, name: str, href: str) -> Tile:
    low, high = totals.projected_low_credits, totals.projected_high_credits
    cost = totals.projected_cost_usd
    is_known = known_credits(totals) is not None
    worth = f" About {formats.usd(cost)} of provider cost." if cost is not None else ""
    range_ = f"{formats.credits(low)} – {formats.credits(high)}" if low is not None else None
    return Tile(
        "projected",
        "Projected total",
        formats.credits(totals.projected_credits if is_known else None),
        range_ if is_known else "no rate yet",
        href,
        f"What {name} is expected to end with, from the account's weekdays and the year before; "
        f"the range below holds it in 80 % of months.{worth}",
    )


def _average(totals: MonthTotals, href: str) -> Tile:
    credits = known_credits(totals)
    return Tile(
        "average",
        "Credits a day",
        formats.credits(None if credits is None else credits / totals.days_in_month),
        f"over {totals.days_in_month} days, complete",
        href,
    )


def _cost(totals: MonthTotals, href: str) -> Tile:
    unpriced = totals.unpriced_events
    return Tile(
        "cost",
        "Provider cost",
        formats.usd(totals.provider_cost_usd),
        f"{formats.number(unpriced)} unpriced" if unpriced else "at list prices",
        href,
        "Tokens × the provider's list price at the time. Operations of models without a known "
        "price are counted as unpriced, not as 0.",
    )


def _agent_count(view: Overview) -> Tile:
    return Tile(
        "agents-in-use",
        "Agents",
        formats.number(len(view.agents)),
        f"on {formats.plural(len(view.models), 'model')}",
        _behind(view, (Dimension.AGENT,)),
    )


def _operations(totals: MonthTotals, href: str, failed_href: str) -> Tile:
    failed = (
        f"{formats.number(totals.failed_events)} failed"
        f" · {_rate(totals.failed_events, totals.events)}"
    )
    return Tile(
        "operations",
        "Operations",
        formats.compact(totals.events),
        tag("div", link(failed_href, failed), class_="mh-foot") if totals.failed_events else failed,
        href,
    )


def _tokens(view: Overview, totals: MonthTotals, href: str) -> Tile:
    cost, tokens = totals.provider_cost_usd, totals.total_tokens
    if cost and tokens:
        detail = f"{formats.usd(cost * 1_000_000 / tokens)} a million"
    elif view.sees_cost:
        detail = "no cost known"
    else:
        detail = f"{formats.compact(tokens // totals.events)} an operation" if tokens else ""
    return Tile("tokens", "Tokens", formats.compact(tokens), detail, href)


def _rate(part: int, whole: int) -> str:
    return formats.share(Decimal(part) / whole) if whole else formats.DASH


def _trend(gate: Gate, view: Overview, running: date | None, budget: Decimal | None) -> None:
    measure = _measure(view)
    days = (next_month(view.month) - view.month).days
    daily = None if budget is None else budget / days
    rows = charts.trend_rows(view.days, view.month, running, view.path, measure)
    spikes = [row for row in rows if row["mark"]]
    has_spikes = any(row["value"] > row["base"] for row in rows)
    with card("trend"):
        write(
            heading(
                f"{measure.title} a day",
                tag("span", "usual for the weekday", class_="mh-key mh-key-usual")
                if view.is_in_credits
                else None,
                tag("span", "above the usual range", class_="mh-key mh-key-spike")
                if has_spikes
                else None,
                tag("span", "expected", class_="mh-key mh-key-expected")
                if any(row["kind"] == "expected" for row in rows)
                else None,
                _budget_key(view, f"budget, {formats.credits(daily)} a day") if daily else None,
                link(_behind(view, (Dimension.DAY,)), "Day by day"),
            )
        )
        state = draw_chart(
            partial(charts.trend_chart, rows, view.month, _palette(), measure, daily),
            key=f"trend-{st.session_state.get('trend-clicks', 0)}",
            on_select="rerun",
            alt=f"{measure.title} a day, {formats.plural(len(spikes), 'spike')} marked",
        )
        if spikes:
            write(_spikes(gate, view, spikes))
        clicked = charts.clicked_day(state)
        spike = _incident_of(gate, view, clicked)
        if spike is not None:
            _cause(view, spike)
    if clicked is not None and spike is None:
        # A new key, so that the chart has nothing selected when the reader comes back.
        st.session_state["trend-clicks"] = st.session_state.get("trend-clicks", 0) + 1
        parameters = {"account": view.account.account_id, **render_usage(_of_day(view, clicked))}
        st.switch_page("views/usage.py", query_params=parameters)


def _of_day(view: Overview, day: date) -> UsageView:
    until = day + timedelta(days=1)
    return UsageView(Selection(day, until, time_zone=view.account.time_zone))


def _spikes(gate: Gate, view: Overview, spikes: list[dict[str, Any]]) -> Html:
    """The marked days with their causes as links, for whoever reads no chart."""
    return tag(
        "div",
        tag("span", "Spikes"),
        *(_spike(gate, view, spike) for spike in spikes[-8:]),
        class_="mh-spikes",
    )


def _spike(gate: Gate, view: Overview, spike: dict[str, Any]) -> Html:
    day = date.fromisoformat(spike["day"])
    text = f"{spike['short_date']} {spike['mark'].removeprefix('▲').strip()}".strip()
    incident = _incident_of(gate, view, day)
    if incident is None:
        return link(
            usage_link(view.account.account_id, _of_day(view, day)),
            text,
            label=f"{text}: usage of {spike['date']}, {spike['value_text']} credits",
        )
    return link(
        insights_link(view.account.account_id, InsightsView(incident=day)),
        text,
        label=f"{text}: {spike['date']}, {spike['value_text']} credits: {title(incident)}",
    )


def _incident_of(gate: Gate, view: Overview, day: date | None) -> Incident | None:
    """The incident that explains a spike; None of other days."""
    found = next((each for each in view.days if each.usage_date == day), None)
    if day is None or found is None or found.incident_date is None:
        return None
    days = view.days[0].usage_date, view.days[-1].usage_date
    incidents = context.incidents(gate, view.account.account_id, *days)
    return next((each for each in incidents if each.first_date <= day <= each.last_date), None)


def _cause(view: Overview, incident: Incident) -> None:
    """What the clicked spike came from, and where its usage is."""
    account = view.account
    write(
        heading(
            f"{formats.days(incident.first_date, incident.last_date)} · {title(incident)}",
            link(usage_behind(account, incident), "Usage"),
            " · ",
            link(
                insights_link(account.account_id, InsightsView(incident=incident.first_date)),
                "Insights",
            ),
        ),
        explanation(incident),
    )


def _categories(view: Overview, totals: MonthTotals) -> None:
    in_credits = view.is_in_credits
    with card("categories"):
        write(
            heading("By category", "share · credits" if in_credits else "operations"),
            bars(
                [
                    Bar(
                        use.label,
                        use.share if in_credits else Decimal(use.events),
                        f"{formats.share(use.share)} · {formats.credits(known_credits(use))}"
                        if in_credits
                        else formats.number(use.events),
                        theme.category_colour(use.category),
                        f"{use.label}: {formats.credits(known_credits(use))} credits, "
                        f"{formats.plural(use.events, 'operation')}",
                        _behind(view, categories=(use.category,)),
                    )
                    for use in view.categories
                ]
            ),
        )


def _models(view: Overview) -> None:
    with card("models"):
        write(heading("Models in use", "dearest first"))
        columns = [
            Column("Model"),
            Column("Credits", True),
            Column("Share", is_wide_only=True),
            Column("Credits / M tokens", True, True, "Credits for a million tokens"),
        ]
        if view.sees_cost:
            columns.append(Column("Provider cost", True, help="Tokens × list price, US dollars"))
        rows = [_model_row(use, view)[: len(columns)] for use in view.models]
        write(table(columns, rows[:MODELS_SHOWN]))
        if rest := rows[MODELS_SHOWN:]:
            with st.expander(f"{len(rest)} more"):
                write(table(columns, rest))


def _model_row(use: ModelUse, view: Overview) -> list[Child]:
    top, share = max(_share(view, model) for model in view.models), _share(view, use)
    name = "No model" if use.model == NO_MODEL else use.model_name or use.model
    detail = " · ".join(
        text
        for text in (
            use.provider,
            f"{formats.compact(use.total_tokens)} tokens"
            if use.total_tokens
            else formats.plural(use.events, "operation"),
        )
        if text
    )
    cost: Child
    if use.provider_cost_usd is not None and (use.is_priced or use.provider_cost_usd):
        per_mtok = (
            f"{formats.usd(use.provider_cost_usd * 1_000_000 / use.total_tokens)} / M"
            if use.total_tokens
            else None
        )
        cost = figure(formats.usd(use.provider_cost_usd), per_mtok)
    elif use.total_tokens:
        cost = badge("no price", "warn", "The price list does not know this model")
    else:
        cost = formats.DASH
    return [
        named(name, detail, use.model, _behind(view, models=(use.model,))),
        formats.credits(known_credits(use)),
        join([meter(share, top), tag("span", formats.share(share), class_="mh-detail")]),
        formats.credits(None if known_credits(use) is None else use.credits_per_mtok),
        cost,
    ]


def _agents(view: Overview) -> None:
    with card("agents"):
        count = len(view.agents)
        write(
            heading(
                "Top agents",
                link(
                    _behind(view, (Dimension.AGENT,)),
                    f"{TOP_AGENTS} of {count}"
                    if count > TOP_AGENTS
                    else formats.plural(count, "agent"),
                ),
            )
        )
        write(
            table(
                [
                    Column("Agent"),
                    Column("Credits", True),
                    Column("Share", is_wide_only=True),
                    Column("30 days"),
                ],
                [_agent_row(use, view) for use in view.agents[:TOP_AGENTS]],
            ),
        )


def _agent_row(use: AgentUse, view: Overview) -> list[Child]:
    top, share = max(_share(view, agent) for agent in view.agents), _share(view, use)
    failed = f" · {formats.number(use.failed_events)} failed" if use.failed_events else ""
    return [
        named(
            use.agent_id,
            f"{formats.plural(use.events, 'operation')}{failed}",
            href=_behind(view, agents=(use.agent_id,)),
        ),
        formats.credits(known_credits(use)),
        join([meter(share, top), tag("span", formats.share(share), class_="mh-detail")]),
        sparkline(
            view.sparklines.get(use.agent_id, ()), f"{_measure(view).title} a day over 30 days"
        ),
    ]


def _share(view: Overview, use: ModelUse | AgentUse) -> Decimal:
    """Its part of the month's credits, of its operations where there are no credits."""
    if view.is_in_credits or view.totals is None:
        return use.share
    return Decimal(use.events) / view.totals.events


def _running_day(view: Overview, fresh: Freshness) -> date | None:
    """The day that was not over yet when the data were loaded, in the account's zone."""
    if fresh.as_of is None:
        return None
    return formats.utc(fresh.as_of).astimezone(ZoneInfo(view.account.time_zone)).date()


def _palette() -> theme.Palette:
    return theme.palette(st.context.theme.type)


if __name__ == "__main__":
    render()
