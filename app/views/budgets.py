"""Budgets: limits with their progress, an editor that tries them on the past, alerts so far."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from app import address, context, formats
from app.deeds import CHANGE_ALERTS, REMOVE_BUDGET, SAVE_BUDGET, SEND_TEST
from app.gate import Account, AccountReader
from app.markup import Child, Column, badge, empty, figure, heading, join, meter, named, notice, tag
from app.markup import table as draw_table
from app.views.parts import card, open_account, status_line, watch, write
from billing.alerts.delivery import send_due
from billing.alerts.outbox import domain_of, history, put_test
from billing.alerts.rules import AlertRule, change_rule, rules_of
from billing.alerts.running import Measure
from billing.budgets.budget import (
    ACTUAL_PERCENTS,
    LONGEST_ROLLING,
    PROJECTED_PERCENTS,
    SCOPES,
    UNITS,
    Budget,
    make_budget,
    refuse_from_customer,
    refuse_unsigned,
)
from billing.budgets.stored import (
    CHANGEABLE,
    add_budget,
    change_budget,
    cost_rules,
    remove_budget,
)
from billing.store import Store
from warehouse.errors import MeterhouseError

MONTHS = 6
HISTORY_SHOWN = 30
_UNITS = {"credits": "credits", "usd": "US dollars of provider cost"}
_RULES = {
    "low_balance": ("Low balance", "Credits left, or fewer"),
    "runway": ("Short runway", "Fewer days left than"),
    "spike": ("Spike", "Credits above the expected"),
    "weekly_report": ("Weekly report", ""),
}
_STATES = {
    "sent": ("sent", "good"),
    "claimed": ("being sent", "quiet"),
    "failed": ("will be tried again", "warn"),
    "given_up": ("refused", "bad"),
}


def draw() -> None:
    """Draw the page for the account of its address."""
    gate = context.open_gate()
    account = open_account(gate, "Budgets")
    if account is None:
        return
    address.write({"account": account.account_id})
    reader = gate.enter(account.account_id)
    try:
        found = reader.measures(datetime.now(UTC))
    except MeterhouseError as error:
        write(notice("warn", "Budgets cannot be shown", str(error)))
        watch(gate.publication)
        return
    write(status_line(gate, account.time_zone))
    _list(found)
    if reader.may(SAVE_BUDGET):
        _editor(reader, found)
    if reader.may(CHANGE_ALERTS):
        _rules(reader)
    _history(reader, account)
    watch(gate.publication)


def _list(found: list[Measure]) -> None:
    with card("budgets"):
        write(heading("Budgets", "settled use"))
        if not found:
            write(empty("No budgets yet", "Make one below, and see what it would have told."))
            return
        columns = [
            Column("Budget"),
            Column("Used", True),
            Column("Projected", True),
            Column("Alerts at", is_wide_only=True),
        ]
        write(draw_table(columns, [_row(each) for each in found]))


def _row(each: Measure) -> list[Child]:
    budget, period = each.budget, each.period
    when = f"{formats.month(period.first)}" if period.is_month else f"last {period.days} days"
    limit = f"of {formats.exact(budget.limit_amount)}{'' if budget.unit == 'credits' else ' USD'}"
    about = f"{budget.about} · {when}{' · enforced' if budget.is_enforced else ''}"
    if each.use is None:
        used: Child = badge("no data", "quiet", "Nothing is published, or it is older than 2 days")
    else:
        used = join(
            [
                figure(formats.credits(each.use.amount), limit),
                meter(min(each.use.amount, budget.limit_amount), budget.limit_amount),
                _reached(each.use.amount >= budget.limit_amount),
            ]
        )
    projected: Child = formats.DASH
    if each.projected is not None:
        projected = join(
            [
                tag("div", formats.credits(each.projected)),
                meter(min(each.projected, budget.limit_amount), budget.limit_amount),
            ]
        )
    marks = [f"{n} %" for n in budget.actual_percents]
    marks += [f"{n} % projected" for n in budget.projected_percents]
    return [named(formats.clip(budget.name, 60), about), used, projected, ", ".join(marks)]


def _reached(is_reached: bool) -> Child:
    return badge("reached", "bad") if is_reached else None


def _editor(reader: AccountReader, found: list[Measure]) -> None:
    """A budget, new or changed: tried on the past first, then saved; and the end of one."""
    budgets = {each.budget.budget_id: each.budget for each in found}
    with card("budget-editor"):
        chosen = 0
        if budgets:
            chosen = st.selectbox(
                "Budget",
                [0, *budgets],
                format_func=lambda n: budgets[n].name if n else "New budget",
                key=f"budget-chosen{_round()}",
                label_visibility="collapsed",
            )
        write(heading("Change a budget" if chosen else "New budget", _since(budgets.get(chosen))))
        with st.form("budget", border=False, enter_to_submit=False):
            given = _fields(budgets.get(chosen), UNITS if reader.sees_cost else UNITS[:1])
            with st.container(horizontal=True):
                tried = st.form_submit_button("Try on the past", icon=":material/history:")
                saved = st.form_submit_button("Save", type="primary")
                removed = bool(chosen) and st.form_submit_button("Remove")
        if removed:
            reader.do(
                REMOVE_BUDGET,
                lambda store, account: remove_budget(store, chosen, account_id=account),
                budget=chosen,
            )
            _start_over()
        if tried or saved:
            try:
                made = make_budget(reader.account.account_id, **given())
                refuse_unsigned(context.open_gate().settings, made.webhook_url)
                if not reader.sees_cost:
                    refuse_from_customer(made)
                if saved:
                    reader.do(
                        SAVE_BUDGET,
                        lambda store, _: _save(store, made, chosen),
                        budget=chosen or "new",
                        name=made.name,
                        limit=f"{made.limit_amount.normalize():f} {made.unit}",
                    )
                    _start_over()
                _simulation(reader, made)
            except MeterhouseError as error:
                write(notice("warn", "This cannot be a budget", str(error)))


def _since(budget: Budget | None) -> str:
    if budget is None or budget.recorded_at is None:
        return "tried on the past before it is saved"
    return f"as {budget.recorded_by} left it on {formats.day(budget.recorded_at.date())}"


def _save(store: Store, made: Budget, chosen: int) -> None:
    if not chosen:
        add_budget(store, made)
        return
    fields = {name: getattr(made, name) for name in CHANGEABLE}
    changes = {**fields, "limit": made.limit_amount}
    change_budget(store, chosen, changes, account_id=made.account_id)


def _start_over() -> None:
    """Draw the page anew with an empty editor: fields of another name hold nothing yet."""
    st.session_state["budget-round"] = st.session_state.get("budget-round", 0) + 1
    st.rerun()


def _round() -> str:
    number = st.session_state.get("budget-round", 0)
    return f"-{number}" if number else ""


def _fields(budget: Budget | None, units: Sequence[str]) -> Callable[[], dict[str, Any]]:
    """The editor's fields, filled from a budget; what they hold once the form is sent."""
    mark = _round() if budget is None else f"-of-{budget.budget_id}{_round()}"

    def key(name: str) -> str:
        return f"budget-{name}{mark}"

    left, middle, right = st.columns(3)
    name = left.text_input(
        "Name", budget.name if budget else "", key=key("name"), placeholder="Monthly limit"
    )
    limit = middle.text_input(
        "Limit",
        f"{budget.limit_amount.normalize():f}" if budget else "",
        key=key("limit"),
        placeholder="5000",
    )
    unit = right.selectbox(
        "Unit",
        list(units),
        units.index(budget.unit) if budget else 0,
        format_func=lambda each: _UNITS[each],
        key=key("unit"),
    )
    left, middle, right = st.columns(3)
    scope = left.selectbox(
        "Of",
        list(SCOPES),
        SCOPES.index(budget.scope) if budget else 0,
        format_func=str.capitalize,
        key=key("scope"),
    )
    part = middle.text_input(
        "Which agent, model or category", (budget and budget.part) or "", key=key("part")
    )
    days = right.number_input(
        "Rolling days (0: calendar month)",
        0,
        LONGEST_ROLLING,
        (budget and budget.rolling_days) or 0,
        key=key("days"),
    )
    left, middle, right = st.columns(3)
    actual = left.text_input(
        "Alert at % of use",
        _joined(budget.actual_percents if budget else ACTUAL_PERCENTS),
        key=key("actual"),
    )
    projected = middle.text_input(
        "Alert at % of projected use",
        _joined(budget.projected_percents if budget else PROJECTED_PERCENTS),
        key=key("projected"),
        help="Of calendar months; rolling days have no end to project to.",
    )
    to = right.text_input(
        "Tell (addresses)",
        ", ".join(budget.recipients) if budget else "",
        key=key("to"),
        help="Without any, the account's own address is told.",
    )
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    webhook = left.text_input(
        "Webhook", (budget and budget.webhook_url) or "", key=key("webhook"), placeholder="https://"
    )
    ends = middle.checkbox(
        "Tell when it is back under", budget is not None and budget.tells_end, key=key("ends")
    )
    enforced = right.checkbox(
        "Enforce",
        budget is not None and budget.is_enforced,
        key=key("enforced"),
        help="The balance route answers that nothing more is allowed once it is reached.",
    )
    return lambda: {
        "name": name,
        "limit": limit,
        "scope": scope,
        "part": part.strip() or None,
        "unit": unit,
        "rolling_days": int(days) or None,
        "actual_percents": _numbers(actual),
        "projected_percents": () if days else _numbers(projected),
        "recipients": addresses_in(to),
        "webhook_url": webhook or None,
        "tells_end": ends,
        "is_enforced": enforced,
    }


def _joined(percents: Sequence[int]) -> str:
    return ", ".join(map(str, percents))


def addresses_in(text: str) -> list[str]:
    """The addresses of a field: apart by commas or semicolons."""
    return [part for part in text.replace(";", ",").split(",") if part.strip()]


def _numbers(text: str) -> list[int]:
    found = []
    for part in text.replace("%", "").split(","):
        if not part.strip():
            continue
        if not (part.strip().isascii() and part.strip().isdecimal()):
            raise MeterhouseError(f"{part.strip()!a} is no percent; write for example 50, 80, 100")
        found.append(int(part))
    return found


def _simulation(reader: AccountReader, made: Budget) -> None:
    found = reader.replayed(made, MONTHS, datetime.now(UTC))
    if not found:
        write(
            notice("good", f"It would have told nothing in the last {MONTHS} months and this one.")
        )
        return
    write(
        tag("p", f"It would have told {formats.plural(len(found), 'time')}:", class_="mh-soft"),
        draw_table(
            [Column("Day"), Column("Alert"), Column("Use", True), Column("Before the limit", True)],
            [
                [
                    formats.day(each.day),
                    each.title.partition(": ")[2],
                    formats.credits(each.amount),
                    formats.DASH
                    if each.days_before is None
                    else formats.plural(each.days_before, "day"),
                ]
                for each in found
            ],
        ),
    )


def _rules(reader: AccountReader) -> None:
    """The alerts that every account has: on or off, from when, to whom."""
    rules = reader.ask_store(rules_of)
    with card("alert-rules"):
        write(heading("Alerts of the account", "besides its budgets"))
        with st.form("rules", border=False, enter_to_submit=False):
            given = {kind: _rule(kind, rule) for kind, rule in rules.items()}
            saved = st.form_submit_button("Save alerts")
        if saved:
            try:
                for kind, (is_on, threshold, to) in given.items():
                    reader.do(
                        CHANGE_ALERTS,
                        partial(
                            change_rule,
                            kind=kind,
                            changes={
                                "is_on": is_on,
                                "threshold": threshold,
                                "recipients": addresses_in(to),
                            },
                        ),
                        kind=kind,
                        is_on=is_on,
                        threshold=threshold,
                    )
                st.rerun()
            except MeterhouseError as error:
                write(notice("warn", "Alerts cannot be so", str(error)))


def _rule(kind: str, rule: AlertRule) -> tuple[bool, str | None, str]:
    title, unit = _RULES[kind]
    left, middle, right = st.columns([1.1, 1, 1.6], vertical_alignment="bottom")
    is_on = left.toggle(title, rule.is_on, key=f"rule-{kind}-on")
    threshold = None
    if unit:
        threshold = middle.text_input(
            unit, f"{rule.threshold.normalize():f}", key=f"rule-{kind}-threshold"
        )
    to = right.text_input(
        "Tell (addresses)",
        ", ".join(rule.recipients),
        key=f"rule-{kind}-to",
        placeholder="the account's own address",
    )
    return is_on, threshold, to


def _history(reader: AccountReader, account: Account) -> None:
    gate = context.open_gate()
    settings = gate.settings
    with card("alert-history"):
        write(heading("Messages", "the newest first"))
        if not settings.smtp_host and gate.user.is_staff:
            write(
                notice(
                    "quiet",
                    "No mail server is set",
                    f"Mails are written as files into {settings.mail_folder}.",
                )
            )
        sent = reader.ask_store(
            lambda store, name: history(
                store,
                name,
                HISTORY_SHOWN,
                without=() if reader.sees_cost else cost_rules(store, name),
            )
        )
        if sent:
            zone = ZoneInfo(account.time_zone)
            rows: list[list[Child]] = []
            for each in sent:
                state, kind = _STATES.get(each.kind or "", ("waiting", "quiet"))
                when = each.recorded_at.astimezone(zone)
                rows.append(
                    [
                        figure(formats.day(when.date()), f"{when:%H:%M}"),
                        named(formats.clip(each.subject, 90), each.recipient),
                        badge(state, kind, each.detail or None),
                    ]
                )
            write(draw_table([Column("When"), Column("Message"), Column("State")], rows))
        else:
            write(tag("p", "No message was sent yet.", class_="mh-soft"))
        if not reader.may(SEND_TEST):
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            to = st.text_input("Address", key="budget-test-to", width=280)
            if st.button("Send a test message", key="budget-test"):
                _test(reader, to)


def _test(reader: AccountReader, to: str) -> None:
    settings = context.open_gate().settings
    try:
        (recipient,) = make_budget(
            reader.account.account_id, name="test", limit="1", recipients=[to]
        ).recipients or ("",)
        if not recipient:
            raise MeterhouseError("write the address that the message goes to")
        domain = domain_of([settings.mail_from])

        def put_and_send(store: Store, name: str) -> None:
            put_test(store, name, recipient, domain)
            send_due(settings, store)

        reader.do(SEND_TEST, put_and_send, recipient=recipient)
        st.rerun()
    except MeterhouseError as error:
        write(notice("warn", "No message was sent", str(error)))


if __name__ == "__main__":
    draw()
