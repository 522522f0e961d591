"""Credits: what an account has, where it came from and went, and how to get more."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import streamlit as st

from app import address, buying, charts_credits, context, formats, theme
from app.balance import SOON_DAYS
from app.credits_address import HISTORY, CreditsView, filtered, link, parse, render
from app.deeds import EXPORT_LEDGER
from app.gate import Account, AccountReader, Gate
from app.markup import (
    Child,
    Choice,
    Column,
    Html,
    Row,
    badge,
    choices,
    empty,
    figure,
    heading,
    join,
    meter,
    named,
    notice,
    table,
    tag,
)
from app.queries.credits import (
    POSTING_KINDS,
    LedgerFilter,
    LedgerPage,
    Posting,
    ledger_csv,
    soon,
)
from app.views.balance import draw_balance
from app.views.credits_buying import draw_message, draw_packages, draw_purchases
from app.views.parts import (
    card,
    draw_chart,
    open_account,
    pager,
    row,
    status_line,
    watch,
    write,
)
from billing.lots import Lot
from billing.position import LotPosition
from warehouse.errors import MeterhouseError

KINDS = {
    "promotional": "Promotional",
    "purchased": "Purchased",
    "adjustment": "Adjustment",
    "refund": "Refund",
}
"""What the kinds of lots are called."""

LOTS_SHOWN = 8
_OPEN = ("active", "scheduled")
_FILTERS = ("credits-kinds", "credits-lot", "credits-first", "credits-last")


def draw() -> None:
    """Draw the page for what its address asks for."""
    gate = context.open_gate()
    account = open_account(gate, "Credits")
    if account is None:
        return
    if "purchase" in address.read():
        context.forget_position(gate, account.account_id)
    draw_balance(gate, account, is_on_credits=True)
    write(status_line(gate, account.time_zone, after=[tag("span", "the balance is of now")]))
    reader = gate.enter(account.account_id)
    try:
        lots = buying.lots_of(reader)
    except MeterhouseError as error:
        address.write({"account": account.account_id})
        write(notice("warn", "Credits cannot be shown", str(error)))
        watch(gate.publication)
        return
    view, remarks = parse(address.read(), lots)
    if remarks:
        write(notice("quiet", "Not all of this address could be used.", *remarks))
    if view.purchase is not None:
        draw_message(reader, view)
    _follow(account, view)
    left, right = row("credits", 1.15, 1)
    with left:
        _history(gate, account, view)
    with right:
        _lots(gate, account, lots)
    draw_packages(gate, reader)
    view = _ledger(gate, reader, view, lots)
    draw_purchases(reader)
    address.write({"account": account.account_id, **render(view)})
    watch(gate.publication)


def _history(gate: Gate, account: Account, view: CreditsView) -> None:
    """The balance day by day, with grants and what was lost marked."""
    with card("history"):
        write(
            heading(
                "Balance history",
                choices(
                    "History",
                    [
                        Choice(
                            label,
                            link(account.account_id, replace(view, history=key, purchase=None)),
                            key == view.history,
                        )
                        for key, label in HISTORY.items()
                    ],
                ),
            )
        )
        days = context.credit_days(gate, account.account_id) if gate.publication else []
        if not days:
            write(tag("p", "Days show here once a refresh has published them.", class_="mh-soft"))
            return
        rows = charts_credits.balance_rows(days, view.history)
        write(_history_key(rows))
        draw_chart(
            partial(charts_credits.balance_chart, rows, theme.palette(st.context.theme.type)),
            key="balance-history",
            alt=f"Balance over {formats.plural(len(rows), 'day')}, settled usage only",
        )


def _history_key(rows: list[charts_credits.BalanceRow]) -> Html:
    return tag(
        "div",
        tag("span", "balance at the end of the day, settled", class_="mh-key mh-key-accent"),
        tag("span", "▲ granted", class_="mh-mark mh-good")
        if any(each["granted"] for each in rows)
        else None,
        tag("span", "▼ expired or voided", class_="mh-mark mh-warn")
        if any(each["lost"] for each in rows)
        else None,
        class_="mh-keys mh-keys-left",
    )


def _lots(gate: Gate, account: Account, lots: Mapping[int, Lot]) -> None:
    """The lots as they stand now, pending usage included, in the order in which they burn."""
    with card("lots"):
        position = context.position(gate, account.account_id)
        found = list(position.lots) if position else []
        current = [lot for lot in found if lot.status in _OPEN]
        over = [lot for lot in found if lot.status not in _OPEN]
        write(heading("Lots", "in the order they burn"))
        if not found:
            write(
                tag(
                    "p",
                    "No credits were granted or bought yet. A package below brings the first.",
                    class_="mh-soft",
                )
            )
            return
        now = datetime.now(UTC)
        flagged = {lot.grant_id for lot in soon(found, now, SOON_DAYS)}
        columns = [
            Column("Lot"),
            Column("Left", True),
            Column("Expires"),
            Column("Value", True, True, "What was paid for it, and for what is left of it"),
        ]

        def rows(some: list[LotPosition]) -> list[list[Child]]:
            return [_lot_row(account, lot, lots.get(lot.grant_id), flagged) for lot in some]

        if current:
            write(table(columns, rows(current[:LOTS_SHOWN])))
        else:
            write(tag("p", "No lot has anything left.", class_="mh-soft"))
        rest = [*current[LOTS_SHOWN:], *over[::-1]]
        if rest:
            with st.expander(f"{len(rest)} more: used up, expired, voided" if over else "More"):
                write(table(columns, rows(rest)))


def _lot_row(
    account: Account, lot: LotPosition, stored: Lot | None, flagged: set[int]
) -> list[Child]:
    zone = account.time_zone
    since = formats.day(formats.utc(lot.effective_at).astimezone(ZoneInfo(zone)).date())
    ends: Child = tag("span", "never", class_="mh-soft")
    if lot.expires_at is not None:
        ends = _local_day(lot.expires_at, zone)
        if lot.grant_id in flagged:
            ends = tag("div", ends, " ", badge("soon", "warn"))
    state = {
        "scheduled": badge("to come"),
        "exhausted": badge("used up"),
        "expired": badge("expired"),
        "voided": badge("voided"),
    }.get(lot.status)
    left = join(
        [
            tag("div", formats.credits(lot.remaining)),
            meter(lot.remaining, lot.granted),
            tag("div", f"of {formats.credits(lot.granted)}", class_="mh-detail"),
        ]
    )
    paid: Child = tag("span", "free", class_="mh-soft")
    if stored is not None and stored.paid_minor is not None:
        worth = int(stored.paid_minor * lot.remaining / lot.granted)
        paid = figure(
            formats.money(stored.paid_minor, stored.currency),
            f"{formats.money(worth, stored.currency)} left",
        )
    name = named(
        formats.clip(lot.reason, 80) or KINDS.get(lot.kind, lot.kind),
        f"{KINDS.get(lot.kind, lot.kind)} · {since}",
        lot.reason,
    )
    return [name, left, join([ends, " ", state]) if state else ends, paid]


def _local_day(moment: datetime, zone: str) -> str:
    """The day and, unless it is midnight, the time at which a lot ends."""
    local = formats.utc(moment).astimezone(ZoneInfo(zone))
    return formats.day(local.date()) + ("" if f"{local:%H:%M}" == "00:00" else f"{local:, %H:%M}")


def _follow(account: Account, view: CreditsView) -> None:
    """Set the ledger's controls to the address where it changed since they were drawn."""
    state = st.session_state
    followed = (account.account_id, view.ledger)
    if state.get("credits-followed") == followed and all(key in state for key in _FILTERS):
        return
    state["credits-kinds"] = list(view.ledger.kinds)
    state["credits-lot"] = view.ledger.lot
    state["credits-first"] = view.ledger.first
    state["credits-last"] = view.ledger.last
    state["credits-followed"] = followed


def _ledger(
    gate: Gate, reader: AccountReader, view: CreditsView, lots: Mapping[int, Lot]
) -> CreditsView:
    """The ledger with its filters; returns the view that they chose."""
    account = reader.account
    with card("ledger"):
        write(heading("Ledger", "settled, the newest first"))
        if gate.publication is None:
            write(
                tag("p", "Postings show here once a refresh has published them.", class_="mh-soft")
            )
            return view
        chosen = _choose(lots)
        if chosen != view.ledger:
            view = filtered(view, chosen)
            st.session_state["credits-followed"] = (account.account_id, chosen)
        page = context.credit_ledger(gate, account.account_id, chosen, view.page)
        if not page.totals.postings:
            write(
                empty("Nothing matches", "No posting of the ledger is as filtered.")
                if not chosen.is_all
                else tag("p", "There are no postings yet.", class_="mh-soft")
            )
            return replace(view, page=1)
        view = replace(view, page=page.number)
        write(
            _ledger_sum(page, chosen),
            table(
                [
                    Column("When"),
                    Column("Posting"),
                    Column("Lot", is_wide_only=True),
                    Column("Credits", True),
                    Column("Balance", True),
                ],
                [_posting_row(account, posting) for posting in page.postings],
            ),
            pager(
                page.number,
                page.pages,
                lambda number: link(account.account_id, replace(view, page=number, purchase=None)),
                "‹ Newer",
                "Older ›",
            ),
        )
        st.download_button(
            "Export as CSV",
            data=lambda: _ledger_file(reader, chosen),
            file_name=f"ledger-{account.account_id}.csv".replace("/", "-"),
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            key="credits-csv",
        )
    return view


def _ledger_file(reader: AccountReader, chosen: LedgerFilter) -> str:
    reader.allow(EXPORT_LEDGER, first=chosen.first, last=chosen.last)
    return ledger_csv(reader, chosen)


def _choose(lots: Mapping[int, Lot]) -> LedgerFilter:
    with st.container(key="ledger-filters", horizontal=True, vertical_alignment="bottom"):
        kinds = st.multiselect(
            "Kinds",
            list(POSTING_KINDS),
            format_func=lambda kind: POSTING_KINDS[kind],
            key="credits-kinds",
            placeholder="All kinds",
            width=300,
        )
        lot = st.selectbox(
            "Lot",
            sorted(lots, reverse=True),
            format_func=lambda number: f"{number} · {formats.clip(lots[number].reason, 50)}",
            key="credits-lot",
            index=None,
            placeholder="All lots",
            width=240,
        )
        first = _choose_day("From", "credits-first")
        last = _choose_day("To", "credits-last")
    return LedgerFilter(tuple(kinds), lot, first, last)


def _choose_day(label: str, key: str) -> date | None:
    return st.date_input(
        label,
        key=key,
        value=None,
        min_value=date(1970, 1, 1),
        max_value=date(2199, 12, 31),
        format=formats.in_use().typed_day,
        width=150,
    )


def _ledger_sum(page: LedgerPage, chosen: LedgerFilter) -> Html:
    change = page.totals.change_credits or Decimal(0)
    text = formats.plural(page.totals.postings, "posting")
    if not chosen.is_all:
        text += f" as filtered, {_signed(change)} credits together"
    return tag("div", text, class_="mh-soft")


def _posting_row(account: Account, posting: Posting) -> Row:
    kind = POSTING_KINDS.get(posting.posting_kind, posting.posting_kind)
    about = KINDS.get(posting.lot_kind or "", posting.lot_kind)
    day = f"usage of {formats.day(posting.usage_date)}" if posting.usage_date else None
    lot: Child = formats.DASH
    if posting.lot_id is not None:
        lot = named(
            formats.clip(posting.lot_reason or f"Lot {posting.lot_id}", 60),
            f"{about} · lot {posting.lot_id}",
            posting.lot_reason,
        )
    value = (
        formats.money(posting.value_minor, posting.currency)
        if posting.value_minor and posting.currency
        else None
    )
    is_gain = posting.change_credits > 0
    posted = formats.utc(posting.posted_at).astimezone(ZoneInfo(account.time_zone))
    return Row(
        [
            figure(formats.day(posted.date()), f"{posted:%H:%M} {posted.tzname()}"),
            tag(
                "div",
                badge(kind, "good" if is_gain else _KIND_BADGES.get(posting.posting_kind, "quiet")),
                tag("div", day, class_="mh-detail") if day else None,
            ),
            lot,
            figure(_signed(posting.change_credits), value),
            formats.credits(posting.balance_credits),
        ]
    )


_KIND_BADGES = {"overage": "bad", "expiry": "warn", "void": "warn", "chargeback": "bad"}


def _signed(change: Decimal) -> str:
    return f"+{formats.credits(change)}" if change > 0 else formats.credits(change)


if __name__ == "__main__":
    draw()
