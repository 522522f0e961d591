"""Budgets: limits with their progress, an editor that tries them on the past, alerts so far."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import streamlit as st

from app import address, context, formats
from app.gate import Account, AccountReader
from app.markup import Child, Column, badge, empty, figure, heading, join, meter, named, notice, tag
from app.markup import table as draw_table
from app.views.parts import card, choose_account, no_accounts, watch, write
from billing.alerts.delivery import Sender
from billing.alerts.outbox import deliver, domain_of, history, put_test
from billing.alerts.running import Measure
from billing.budgets.budget import SCOPES, UNITS, Budget, make_budget
from billing.budgets.stored import add_budget, remove_budget
from warehouse.errors import MeterhouseError

MONTHS = 6
HISTORY_SHOWN = 30
_UNITS = {"credits": "credits", "usd": "US dollars of provider cost"}
_STATES = {
    "sent": ("sent", "good"),
    "claimed": ("being sent", "quiet"),
    "failed": ("will be tried again", "warn"),
    "given_up": ("refused", "bad"),
}


def draw() -> None:
    """Draw the page for the account of its address."""
    gate = context.open_gate()
    accounts = context.accounts(gate)
    if not accounts:
        write(tag("h1", "Budgets"), no_accounts())
        watch(gate.publication)
        return
    with st.container(key="page-head", horizontal=True, vertical_alignment="center"):
        write(tag("h1", "Budgets"))
        with st.container(
            key="choosers", horizontal=True, horizontal_alignment="right", width="stretch"
        ):
            account, missed = choose_account(accounts)
    address.write({"account": account.account_id})
    if missed is not None:
        name = formats.clip(account.name, 60)
        write(notice("quiet", f"There is no account “{missed}”. This is {name}."))
    reader = gate.enter(account.account_id)
    try:
        found = reader.measures(datetime.now(UTC))
    except MeterhouseError as error:
        write(notice("warn", "Budgets cannot be shown", str(error)))
        watch(gate.publication)
        return
    _list(found)
    _editor(reader)
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
    limit = f"of {budget.limit_amount.normalize():,f}{'' if budget.unit == 'credits' else ' USD'}"
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


def _editor(reader: AccountReader) -> None:
    """A new budget: tried on the past first, then saved; and the end of one."""
    with card("budget-editor"):
        write(heading("New budget"))
        with st.form("budget", border=False):
            left, middle, right = st.columns(3)
            name = left.text_input("Name", key="budget-name", placeholder="Monthly limit")
            limit = middle.text_input("Limit", key="budget-limit", placeholder="5000")
            unit = right.selectbox(
                "Unit", list(UNITS), format_func=lambda each: _UNITS[each], key="budget-unit"
            )
            left, middle, right = st.columns(3)
            scope = left.selectbox(
                "Of", list(SCOPES), format_func=str.capitalize, key="budget-scope"
            )
            part = middle.text_input("Which agent, model or category", key="budget-part")
            days = right.number_input(
                "Rolling days (0: calendar month)", 0, 366, 0, key="budget-days"
            )
            left, middle, right = st.columns(3)
            actual = left.text_input("Alert at % of use", "50, 80, 100", key="budget-actual")
            projected = middle.text_input(
                "Alert at % of projected use", "100", key="budget-projected"
            )
            to = right.text_input("Tell (addresses)", key="budget-to", help="Else the account's.")
            left, middle, _ = st.columns(3)
            ends = left.checkbox("Tell when it is back under", key="budget-ends")
            enforced = middle.checkbox("Enforce (balance route)", key="budget-enforced")
            left, middle, _ = st.columns(3)
            tried = left.form_submit_button("Try on the past", icon=":material/history:")
            saved = middle.form_submit_button("Save", type="primary")
        if tried or saved:
            try:
                made = make_budget(
                    reader.account.account_id,
                    name=name,
                    limit=limit,
                    scope=scope or "account",
                    part=part.strip() or None,
                    unit=unit or "credits",
                    rolling_days=int(days) or None,
                    actual_percents=_numbers(actual),
                    projected_percents=() if days else _numbers(projected),
                    recipients=[text for text in to.replace(";", ",").split(",") if text.strip()],
                    tells_end=ends,
                    is_enforced=enforced,
                )
                if saved:
                    reader.ask_store(lambda store, _: add_budget(store, made))
                    st.rerun()
                _simulation(reader, made)
            except MeterhouseError as error:
                write(notice("warn", "This cannot be a budget", str(error)))
        _remove(reader)


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


def _remove(reader: AccountReader) -> None:
    budgets = {each.budget.budget_id: each.budget for each in reader.measures(datetime.now(UTC))}
    if not budgets:
        return
    with st.expander("Remove a budget"):
        chosen = st.selectbox(
            "Budget", list(budgets), format_func=lambda n: budgets[n].name, key="budget-gone"
        )
        if st.button("Remove", key="budget-remove") and chosen in budgets:
            reader.ask_store(lambda store, _: remove_budget(store, chosen))
            st.rerun()


def _history(reader: AccountReader, account: Account) -> None:
    settings = context.open_gate().settings
    with card("alert-history"):
        write(heading("Messages", "the newest first"))
        if not settings.smtp_host:
            write(
                notice(
                    "quiet",
                    "No mail server is set",
                    f"Mails are written as files into {settings.mail_folder}.",
                )
            )
        sent = reader.ask_store(lambda store, name: history(store, name, HISTORY_SHOWN))
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
        reader.ask_store(lambda store, name: put_test(store, name, recipient, domain))
        with Sender(settings) as send:
            reader.ask_store(lambda store, _: deliver(store, send))
        st.rerun()
    except MeterhouseError as error:
        write(notice("warn", "No message was sent", str(error)))


if __name__ == "__main__":
    draw()
