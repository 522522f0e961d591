"""Closing, for the staff: which accounts of a month are invoiced, ready or held, and why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import streamlit as st

from app import address, context, formats
from app.gate import Gate
from app.invoices_address import (
    STATES,
    ClosingView,
    InvoicesView,
    closing_link,
    invoices_link,
    parse_closing,
    render_closing,
)
from app.markup import (
    Child,
    Choice,
    Column,
    Html,
    badge,
    choices,
    empty,
    figure,
    heading,
    join,
    link,
    named,
    notice,
    stat,
    table,
    tag,
    with_code,
)
from app.queries.closing import (
    CAUSES,
    GUARDS,
    PAGE_SIZE,
    AccountMonth,
    Closing,
    HeldBy,
    closing_csv,
    gather_months,
    last_month,
)
from app.views.parts import card, nothing_published, pager, row, status_line, watch, write
from warehouse.errors import MeterhouseError

_KINDS = {"issued": "good", "ready": "accent", "held": "warn"}
_NAMES_SHOWN = 5
_TOTALS_SHOWN = 2
_REASONS_SHOWN = 6


def draw() -> None:
    """Draw the page for the month of its address."""
    gate = context.open_gate()
    now = datetime.now(UTC)
    as_of = context.freshness(gate).as_of if gate.publication else None
    months = gather_months(gate, formats.utc(as_of)) if as_of else []
    if not months:
        write(tag("h1", "Closing"))
        write(
            nothing_published(gate)
            if gate.publication is None
            else empty("Nothing to close yet", "No account has any usage or credits.")
        )
        watch(gate.publication)
        return
    days = [each.month for each in months]
    view, remarks = parse_closing(address.read(), days, last_month(months, now))
    with st.container(key="page-head", horizontal=True, vertical_alignment="center"):
        write(tag("h1", "Closing"))
        with st.container(
            key="choosers", horizontal=True, horizontal_alignment="right", width="stretch"
        ):
            chosen = _choose(days, view.month)
    if chosen != view.month:
        view = ClosingView(chosen, view.state)
    address.write(render_closing(view))
    if remarks:
        write(notice("quiet", "Not all of this address could be used.", *remarks))
    try:
        closing = context.closing(gate, view.month)
    except MeterhouseError as error:
        write(empty("No month can be closed yet", with_code(str(error))))
        watch(gate.publication)
        return
    tried = tag("span", "a close that is only tried: nothing is written")
    write(status_line(gate, "UTC", after=[tried]))
    _tiles(closing)
    _held(closing.held())
    _accounts(gate, closing, view)
    _books(closing)
    watch(gate.publication)


def _choose(months: Sequence[date], asked: date) -> date:
    """The month's box, which follows the address where that was changed from outside."""
    state = st.session_state
    if state.get("closing-followed") != asked or state.get("closing-month") not in months:
        state["closing-month"] = asked
    chosen = st.selectbox(
        "Month",
        months,
        format_func=formats.month,
        key="closing-month",
        required=True,
        label_visibility="collapsed",
    )
    state["closing-followed"] = chosen
    return chosen


def _tiles(closing: Closing) -> None:
    """How many accounts are issued, ready and held, and what the month comes to."""
    count, ready, held = len(closing.accounts), len(closing.of("ready")), closing.held()
    documents = sum(len(each.numbers) for each in closing.accounts)
    different = sum(bool(each.difference_minor) for each in closing.accounts)
    known = f", {different} known otherwise" if different else ""
    first, *others = [formats.money(net, currency) for currency, net in closing.totals().items()]
    tiles: list[tuple[str, str, str, Child]] = [
        (
            "issued",
            "Issued",
            f"{len(closing.of('issued'))} of {count}",
            f"{formats.plural(documents, 'document')}{known}",
        ),
        (
            "ready",
            "Ready",
            formats.number(ready),
            with_code(f"`meterhouse invoices close {closing.month:%Y-%m}`")
            if ready
            else "nothing to be issued",
        ),
        (
            "held",
            "Held",
            formats.number(len(closing.of("held"))),
            f"by {formats.plural(len({each.guard for each in held}), 'guard')}"
            if held
            else "no guard tripped",
        ),
        ("net", "Net, issued and drafted", first, _others(others)),
    ]
    for half, pair in zip(row("tiles", 1, 1), (tiles[:2], tiles[2:]), strict=True):
        for column, (key, label, value, detail) in zip(
            half.columns(2, gap="small", wrap=False), pair, strict=True
        ):
            with column, card(key):
                write(stat(label, value, tag("div", detail, class_="mh-tile")))


def _others(totals: Sequence[str]) -> str:
    """The totals of further currencies, in few words."""
    if not totals:
        return "in one currency"
    more = len(totals) - _TOTALS_SHOWN
    shown = " · ".join(totals[:_TOTALS_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _held(held: Sequence[HeldBy]) -> None:
    """The guards that tripped, whom they hold and what to do."""
    with card("guards", fills=False):
        write(heading("Guards", "each holds only the accounts it names"))
        if not held:
            write(tag("p", badge("none tripped", "good"), class_="mh-foot"))
            return
        write(table([Column("Guard"), Column("What to do")], [_guard(each) for each in held]))


def _guard(held: HeldBy) -> list[Child]:
    """A guard with what to do: for each reason, where there are several, who it is about."""
    reasons = [
        tag(
            "div",
            with_code(_sentence(reason)),
            tag("span", f" {_names(names)}", class_="mh-soft") if len(held.reasons) > 1 else None,
            class_="mh-reason",
        )
        for reason, names in list(held.reasons.items())[:_REASONS_SHOWN]
    ]
    more = len(held.reasons) - _REASONS_SHOWN
    return [
        named(
            GUARDS[held.guard],
            _names(held.accounts)
            if len(held.reasons) == 1
            else formats.plural(len(held.accounts), "account"),
            ", ".join(held.accounts[:100]),
        ),
        join(
            [
                *reasons,
                tag("div", f"{more} more, in the export below.", class_="mh-soft mh-reason")
                if more > 0
                else None,
            ]
        ),
    ]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(formats.clip(name, 40) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."


def _accounts(gate: Gate, closing: Closing, view: ClosingView) -> None:
    """The accounts of a state, a page of them, with the export of all."""
    found = closing.of(view.state)
    pages = max(1, -(-len(found) // PAGE_SIZE))
    page = min(view.page, pages)
    shown = found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    with card("accounts", fills=False):
        write(
            heading(
                "Accounts",
                choices(
                    "State",
                    [
                        Choice(
                            f"{label} {len(closing.of(state))}",
                            closing_link(replace(view, state=state, page=1)),
                            state == view.state,
                        )
                        for state, label in ((None, "All"), *STATES.items())
                    ],
                ),
            )
        )
        if shown:
            write(
                table(
                    [
                        Column("Account"),
                        Column("State"),
                        Column("Net", True),
                        Column("Month before", True, is_wide_only=True),
                        Column("Known since", True, is_wide_only=True),
                    ],
                    [_account(each) for each in shown],
                ),
                pager(page, pages, lambda number: closing_link(replace(view, page=number))),
            )
        else:
            write(tag("p", "No account is so.", class_="mh-soft"))
        st.download_button(
            "Export as CSV",
            data=lambda: _export(gate, closing),
            file_name=f"closing-{closing.month:%Y-%m}.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            key="closing-csv",
        )


def _export(gate: Gate, closing: Closing) -> str:
    """What a close would do as CSV; that it was taken away is logged."""
    gate.allow_staff("closing.export", month=f"{closing.month:%Y-%m}")
    return closing_csv(closing)


def _account(each: AccountMonth) -> list[Child]:
    before: Child = formats.DASH
    if each.earlier:
        change = (
            formats.change(Decimal(each.net_minor), Decimal(each.earlier[-1]))
            if each.net_minor
            else None
        )
        before = figure(formats.money(each.earlier[-1], each.currency), change)
    known: Child = ""
    if each.difference_minor:
        causes = ", ".join(CAUSES.get(cause, cause) for cause in each.causes)
        known = join(
            [
                badge(_signed(each.difference_minor, each.currency), "warn"),
                tag("div", causes, class_="mh-detail mh-reason") if causes else None,
            ]
        )
    elif each.state == "issued":
        known = "as issued"
    return [
        named(
            formats.clip(each.name, 60),
            each.account_id,
            each.name,
            href=invoices_link(each.account_id),
        ),
        _state(each),
        figure(
            formats.money(each.net_minor, each.currency),
            _paid(each) if each.state == "issued" else "draft",
        ),
        before,
        known,
    ]


def _paid(each: AccountMonth) -> str:
    if each.open_minor:
        return f"{formats.money(each.open_minor, each.currency)} open"
    return "nothing open"


def _books(closing: Closing) -> None:
    """What the month means for the books, of all accounts by currency."""
    if not closing.books:
        return
    with card("books", fills=False):
        is_closed = all(each.is_closed for each in closing.books)
        state = badge("closed", "good") if is_closed else badge("still open", "warn")
        write(
            heading("Books", "all accounts, as published ", state),
            table(
                [
                    Column("Currency"),
                    Column("Revenue", True, help="Used credits and usage beyond the lots, net"),
                    Column("Breakage", True, True, "Credits lost in the month, net"),
                    Column("Deferred", True, help="Credits left at its end, net"),
                    Column("Receivable", True, help="Open on documents at its end"),
                    Column("Unbilled", True, True, "Owed at its end and on no document yet"),
                    Column("Tax", True, True, "Tax so far"),
                    Column("Cash", True, True, "Received so far"),
                ],
                [
                    [
                        each.currency,
                        *(
                            formats.money(minor, each.currency)
                            for minor in (
                                each.revenue_minor,
                                each.breakage_minor,
                                each.deferred_revenue_minor,
                                each.receivable_minor,
                                each.unbilled_minor,
                                each.tax_payable_minor,
                                each.cash_minor,
                            )
                        ),
                    ]
                    for each in closing.books
                ],
            ),
        )


def _signed(minor: int, currency: str) -> str:
    return f"{'+' if minor > 0 else ''}{formats.money(minor, currency)}"


def _state(each: AccountMonth) -> Html:
    """The state with the documents, or the guards, that it comes from."""
    parts: list[Child] = []
    for number in each.numbers:
        parts += [", "] if parts else []
        there = invoices_link(each.account_id, InvoicesView(number=number))
        parts.append(link(there, number))
    if each.holds:
        parts = [", ".join(GUARDS.get(hold.guard, hold.guard) for hold in each.holds)]
    return join(
        [
            badge(STATES[each.state].lower(), _KINDS[each.state]),
            tag("div", *parts, class_="mh-detail mh-reason") if parts else None,
        ]
    )


if __name__ == "__main__":
    draw()
