"""The section of Insights on what to do about the usage: advice, and what it has saved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import streamlit as st

from app import advising, context, formats
from app.deeds import ACCEPT_ADVICE, WITHDRAW_ADVICE
from app.gate import Account, AccountReader, Gate
from app.insights_address import InsightsView
from app.insights_address import link as insights_link
from app.markup import (
    Child,
    Column,
    Html,
    badge,
    figure,
    heading,
    link,
    named,
    notice,
    sparkline,
    stat,
    table,
    tag,
)
from app.queries.insights_advice import Advice, AdviceEvent, AdviceEvents, Week
from app.queries.usage import Names
from app.usage_address import EventKey, UsageView
from app.usage_address import link as usage_link
from app.views.parts import card, write
from app.views.usage_filters import model_label
from billing.advice import Acceptance, Advised
from warehouse.errors import MeterhouseError
from warehouse.usage.selection import Selection

MOST_SHOWN = 12
"""Advice on the page, the most worth first; the rest is counted."""

_BASES = {
    "log": "what the log says that they cost",
    "own_log": "what this account pays for the other model",
    "rate_card": "the rate card",
    "list_price": "the ratio of list prices",
    "mixed": "prices of several kinds",
}


def draw(gate: Gate, account: Account, view: InsightsView) -> None:
    """Draw what is advised to the account, and what accepted advice has saved."""
    reader = gate.enter(account.account_id)
    found = context.advice(gate, account.account_id)
    names = context.names(gate)
    try:
        accepted, problem = advising.accepted_of(reader), None
    except MeterhouseError as error:
        accepted, problem = [], str(error)
    taken = {each.advised.advice_id for each in accepted}
    open_ = [advice for advice in found if advice.advice_id not in taken]
    if accepted:
        weeks = context.advice_weeks(gate, account.account_id)
        _accepted(reader, accepted, weeks, names)
    with card("advice", fills=False):
        write(heading("Advice", _days(found) if found else None))
        if problem:
            write(notice("warn", "Advice cannot be accepted now", formats.clip(problem, 300)))
        if not open_:
            write(tag("p", _nothing(bool(accepted)), class_="mh-soft"))
            return
        total = sum((advice.saved_credits_month for advice in open_), Decimal(0))
        write(
            stat(
                "Could be saved a month",
                formats.credits(total),
                "credits, each call counted once",
                help="Replayed on the account's own log. What two pieces of advice would both save "
                "counts for the one that saves more, so the parts add up.",
            )
        )
        for advice in open_[:MOST_SHOWN]:
            _advice(gate, reader, advice, view, names, can_accept=problem is None)
        rest = open_[MOST_SHOWN:]
        if rest:
            worth = formats.credits(sum((each.saved_credits_month for each in rest), Decimal(0)))
            write(
                tag(
                    "p",
                    f"{formats.number(len(rest))} more, worth {worth} credits a month together: ",
                    tag("code", "meterhouse advice list"),
                    class_="mh-soft",
                )
            )


def _nothing(has_accepted: bool) -> str:
    if has_accepted:
        return "Nothing else is worth telling in the usage of the last four weeks."
    return (
        "Nothing to save is worth telling in the usage of the last four weeks. Repeated requests, "
        "short calls on large models, missing prompt caches, bursts and failures are looked for."
    )


def _days(found: Sequence[Advice]) -> str:
    first, until = found[0].window_from, found[0].window_until
    return f"replayed on {formats.days(first, until - timedelta(days=1))}, UTC"


def _advice(
    gate: Gate,
    reader: AccountReader,
    advice: Advice,
    view: InsightsView,
    names: Names,
    *,
    can_accept: bool,
) -> None:
    account_id = reader.account.account_id
    is_open = view.advice == advice.advice_id
    with st.container(key=f"advice-{advice.advice_id}", border=True):
        write(
            tag(
                "div",
                tag(
                    "div",
                    tag(
                        "div",
                        title_of(advice, names),
                        " ",
                        badge("a guess", "warn", "The log cannot prove it")
                        if advice.is_guess
                        else None,
                        class_="mh-advice-title",
                    ),
                    tag("p", evidence_of(advice, names), class_="mh-soft"),
                    class_="mh-advice-text",
                ),
                tag(
                    "div",
                    tag("b", formats.credits(advice.saved_credits_month)),
                    tag("div", "credits a month", class_="mh-detail"),
                    class_="mh-advice-figure",
                ),
                class_="mh-advice",
            )
        )
        with st.container(
            key=f"advice-do-{advice.advice_id}", horizontal=True, vertical_alignment="center"
        ):
            shown = replace(view, advice=None if is_open else advice.advice_id, page=1)
            write(
                tag(
                    "nav",
                    link(
                        insights_link(account_id, shown),
                        "Hide the calls"
                        if is_open
                        else f"Show {formats.plural(advice.events, 'call')}",
                        class_="mh-choice",
                        label=f"Calls of: {title_of(advice, names)}",
                    ),
                    link(
                        usage_link(account_id, usage_of(advice)),
                        "Open in Usage",
                        class_="mh-choice",
                    ),
                    class_="mh-choices",
                )
            )
            if can_accept and reader.may(ACCEPT_ADVICE):
                with st.popover("Accept", key=f"advice-ask-{advice.advice_id}"):
                    write(
                        tag(
                            "p",
                            "Change it in your agent, then accept: from tomorrow (UTC) on, what "
                            "these calls cost is compared with what they would have cost before.",
                        )
                    )
                    if st.button(
                        "Accept and measure", key=f"advice-yes-{advice.advice_id}", type="primary"
                    ):
                        _do(lambda: advising.accept(reader, advice))
        if is_open:
            page = context.advice_events(gate, account_id, advice, view.page)
            write(_events(account_id, page, names), _pager(account_id, view, page))


def title_of(advice: Advice | Advised, names: Names) -> str:
    """What to do, in a few words."""
    agent = formats.clip(advice.agent_id, 60)
    model = _model(names, advice.model)
    candidate = _model(names, advice.candidate_model)
    return {
        "cheaper_model": f"Let {candidate} answer the short calls of {agent}",
        "repeated_requests": f"Keep the answers that {agent} asks for again",
        "repeated_shapes": f"See whether {agent} asks {model} the same again",
        "prompt_caching": f"Cache the beginning of the conversations of {agent}",
        "batching": f"Send the bursts of {agent} as batches",
        "failures": f"Mend the failures of {agent}",
    }[advice.kind]


def _model(names: Names, model: str | None) -> str:
    return formats.clip(model_label(names, model or ""), 60)


def evidence_of(advice: Advice, names: Names) -> str:
    """What the log shows, in a sentence or two."""
    model = _model(names, advice.model)
    calls, scope = formats.number(advice.events), formats.number(advice.scope_events)
    days = formats.plural(advice.days, "day")
    said = {
        "cheaper_model": f"{calls} calls on {model} had little to read and little to write.",
        "repeated_requests": f"{calls} of {scope} calls on {model} asked what had been answered "
        "before on the same day.",
        "repeated_shapes": f"{calls} of {scope} calls on {model} had exactly the size of calls "
        "answered before on the same day. The log has no request hashes.",
        "prompt_caching": f"{calls} calls on {model} seem to begin with all that the call before "
        "had sent, and nothing was read from the cache.",
        "batching": f"{calls} small calls on {model} came in bursts, on {days}, and could wait for "
        "each other.",
        "failures": f"{formats.number(advice.agent_failed_events)} of "
        f"{formats.number(advice.agent_events)} calls failed; {calls} of them cost credits.",
    }[advice.kind]
    then = advice.credits - advice.saved_credits
    cost = f" They cost {formats.credits(advice.credits)} credits"
    cost += (
        f" and would cost {formats.credits(then)}, by {_BASES[advice.credit_basis]}."
        if then
        else "."
    )
    return said + cost


def usage_of(advice: Advice) -> UsageView:
    """The Usage page of the calls among which those of an advice are."""
    return UsageView(
        Selection(
            advice.window_from,
            advice.window_until,
            agents=(advice.agent_id,),
            categories=(advice.category,) if advice.category else (),
            models=(advice.model,) if advice.model else (),
            statuses=("error",) if advice.kind == "failures" else (),
        )
    )


def _events(account_id: str, page: AdviceEvents, names: Names) -> Html:
    return table(
        [
            Column("When, UTC"),
            Column("Model", is_wide_only=True),
            Column("Credits", True),
            Column("Saved", True),
        ],
        [_event_row(account_id, event, names) for event in page.events],
    )


def _event_row(account_id: str, event: AdviceEvent, names: Names) -> list[Child]:
    day = event.usage_date_utc
    view = UsageView(
        Selection(day, day + timedelta(days=1)), event=EventKey(day, event.source, event.event_id)
    )
    return [
        named(
            formats.day(day),
            f"{event.occurred_at:%H:%M:%S}",
            event.event_id,
            usage_link(account_id, view),
        ),
        _model(names, event.model),
        formats.credits(event.credits),
        formats.credits(event.saved_credits),
    ]


def _pager(account_id: str, view: InsightsView, page: AdviceEvents) -> Html | None:
    if page.pages <= 1:
        return None

    def to(number: int, text: str, label: str) -> Html:
        if not 1 <= number <= page.pages or number == page.number:
            return tag("span", text, class_="mh-choice mh-off", aria_disabled="true")
        there = insights_link(account_id, replace(view, page=number))
        return link(there, text, label=label, class_="mh-choice")

    return tag(
        "nav",
        to(page.number - 1, "‹ More", "Page before"),
        tag(
            "span",
            f"Page {formats.number(page.number)} of {formats.number(page.pages)}",
            class_="mh-soft",
        ),
        to(page.number + 1, "Less ›", "Next page"),
        class_="mh-pager",
        aria_label="Pages of calls",
    )


def _accepted(
    reader: AccountReader,
    accepted: Sequence[Acceptance],
    weeks: Mapping[int, tuple[Week, ...]],
    names: Names,
) -> None:
    with card("advice-accepted", fills=False):
        saved = sum(
            (week.saved_credits for each in accepted for week in weeks.get(each.decision_id, ())),
            Decimal(0),
        )
        write(
            heading("Accepted advice", "against what would have been"),
            stat("Saved so far", formats.credits(saved), "credits"),
            table(
                [
                    Column("Advice"),
                    Column("A week", True, is_wide_only=True),
                    Column("Saved", True),
                    Column("Promised a month", True, is_wide_only=True),
                ],
                [
                    _accepted_row(each, weeks.get(each.decision_id, ()), reader.account, names)
                    for each in accepted
                ],
            ),
        )
        if not reader.may(WITHDRAW_ADVICE):
            return
        with st.popover("Withdraw", key="advice-withdraw"):
            titles = {each.advised.advice_id: title_of(each.advised, names) for each in accepted}
            chosen = st.selectbox(
                "Advice",
                list(titles),
                format_func=lambda advice_id: titles[advice_id],
                key="advice-to-withdraw",
            )
            if st.button("Stop measuring it", key="advice-withdraw-yes") and chosen:
                _do(lambda: advising.withdraw(reader, chosen))


def _accepted_row(
    accepted: Acceptance, weeks: Sequence[Week], account: Account, names: Names
) -> list[Child]:
    since = formats.moment(accepted.accepted_at, account.time_zone)
    saved = sum((week.saved_credits for week in weeks), Decimal(0))
    spark: Child = formats.DASH
    if len(weeks) > 1:
        spark = sparkline(
            [max(week.saved_credits, Decimal(0)) for week in weeks],
            f"Saved in each of {len(weeks)} weeks",
        )
    elif weeks:
        spark = formats.credits(weeks[0].saved_credits)
    measured = sum(week.days for week in weeks)
    return [
        named(title_of(accepted.advised, names), f"since {since}, by {accepted.accepted_by}"),
        spark,
        figure(formats.credits(saved), f"on {formats.plural(measured, 'day')}")
        if weeks
        else figure(formats.DASH, "from the day after"),
        formats.credits(accepted.advised.saved_credits_month),
    ]


def _do(act: Callable[[], object]) -> None:
    """Do it and draw the page anew, or say why it cannot be done."""
    try:
        act()
    except MeterhouseError as error:
        write(notice("warn", formats.clip(str(error), 300)))
        return
    st.rerun()
