"""Accounts, for the staff: every account with its balance, use, margin, outlook and flags.

A click on one leads into its own pages; coming back here is leaving them.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlencode

import streamlit as st

from app import address, context, formats
from app.accounts_address import (
    LONGEST_TEXT,
    AccountsView,
    clean,
    link,
    parse,
    render,
    sorted_by,
)
from app.gate import Gate
from app.insights_address import InsightsView
from app.insights_address import link as insights_link
from app.invoices_address import invoices_link
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
    named,
    notice,
    stat,
    table,
    tag,
)
from app.markup import link as to
from app.queries.accounts import (
    FLAGS,
    PAGE_SIZE,
    Flag,
    Line,
    Standing,
    Watched,
    accounts_csv,
    counts,
    found,
    ordered,
    overdue,
)
from app.views.parts import (
    card,
    no_accounts,
    nothing_published,
    pager,
    row,
    status_line,
    watch,
    write,
)

_PLANS = {
    "prepaid": "prepaid",
    "prepaid_with_overage": "prepaid with overage",
    "postpaid": "postpaid",
}


def draw() -> None:
    """Draw the page for what its address asks for."""
    gate = context.open_gate()
    gate.require_staff("accounts")
    context.leave_account()
    write(tag("h1", "Accounts"))
    if gate.publication is None:
        write(nothing_published(gate))
        watch(None)
        return
    lines, watched = context.account_lines(gate)
    if not lines:
        write(no_accounts(gate))
        watch(gate.publication)
        return
    view, remarks = parse(address.read())
    write(
        status_line(
            gate,
            "UTC",
            after=(tag("span", "each in its own month; invoices and rejected rows as of now"),),
        )
    )
    _tiles(lines)
    view = _search(view)
    shown = ordered(found(lines, view.text, view.flag), view.sort, is_descending=view.is_descending)
    pages = max(1, -(-len(shown) // PAGE_SIZE))
    view = replace(view, page=min(view.page, pages))
    address.write(render(view))
    if remarks:
        write(notice("quiet", "Not all of this address could be used.", *remarks))
    _list(gate, view, lines, shown, pages, watched)
    watch(gate.publication)


def _tiles(lines: Sequence[Line]) -> None:
    """Four figures over all accounts: how many, their use, their margin, how many are flagged."""
    all_ = [line.standing for line in lines]
    active = sum(each.events > 0 for each in all_)
    used = sum((each.credits or Decimal(0) for each in all_), Decimal(0))
    projected = sum((each.projected_credits or Decimal(0) for each in all_), Decimal(0))
    margins = [each.margin_usd for each in all_ if each.margin_usd is not None and each.events]
    kinds = [{flag.kind for flag in line.flags} for line in lines]
    bad = sum("bad" in each for each in kinds)
    tiles = [
        ("all-accounts", "Accounts", formats.number(len(all_)), f"{formats.number(active)} active"),
        (
            "used",
            "Credits this month",
            formats.credits(used),
            f"{formats.credits(projected)} projected",
        ),
        (
            "margin",
            "Margin this month",
            formats.usd(sum(margins, Decimal(0))) if margins else formats.DASH,
            f"known of {formats.number(len(margins))} of {formats.number(active)}",
        ),
        (
            "flagged",
            "Need a look",
            formats.number(sum(bool(each & {"bad", "warn"}) for each in kinds)),
            f"{formats.number(bad)} urgent" if bad else "none urgent",
        ),
    ]
    for half, pair in zip(row("tiles", 1, 1), (tiles[:2], tiles[2:]), strict=True):
        for column, (key, label, value, detail) in zip(
            half.columns(2, gap="small", wrap=False), pair, strict=True
        ):
            with column, card(key):
                write(stat(label, value, detail))


def _search(view: AccountsView) -> AccountsView:
    """The box to search by, which follows the address where that was changed from outside."""
    state = st.session_state
    if state.get("accounts-followed") != view.text or "accounts-text" not in state:
        state["accounts-text"] = view.text
    text = st.text_input(
        "Name or id",
        key="accounts-text",
        placeholder="Search by name or id",
        icon=":material/search:",
        max_chars=LONGEST_TEXT,
        label_visibility="collapsed",
    )
    state["accounts-followed"] = clean(text or "")
    if state["accounts-followed"] == view.text:
        return view
    return replace(view, text=state["accounts-followed"], page=1)


def _list(
    gate: Gate,
    view: AccountsView,
    lines: Sequence[Line],
    shown: Sequence[Line],
    pages: int,
    watched: Watched,
) -> None:
    with card("accounts", fills=False):
        write(
            heading("Accounts", formats.plural(len(shown), "account")), _flag_choices(view, lines)
        )
        if not shown:
            write(
                empty(
                    "No account is so",
                    "No name or id holds this text, or none of those has the flag.",
                    to(link(AccountsView()), "Show all"),
                )
            )
            return
        page = shown[(view.page - 1) * PAGE_SIZE : view.page * PAGE_SIZE]
        write(
            table(_columns(view), [_row(line, watched) for line in page]),
            pager(view.page, pages, lambda number: link(replace(view, page=number))),
        )
        st.download_button(
            "Export as CSV",
            data=lambda: _export(gate, shown),
            file_name="accounts.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            key="accounts-csv",
        )


def _export(gate: Gate, shown: Sequence[Line]) -> str:
    """What is listed as CSV, on all pages; that it was taken away is logged."""
    gate.allow_staff("accounts.export", rows=len(shown))
    return accounts_csv(shown)


def _flag_choices(view: AccountsView, lines: Sequence[Line]) -> Html:
    """The flags that any account has, each leading to those that have it."""
    having = counts(lines)
    return choices(
        "Show",
        [
            Choice(
                f"All {formats.number(len(lines))}",
                link(replace(view, flag=None, page=1)),
                view.flag is None,
            ),
            *(
                Choice(
                    f"{flag.text} {formats.number(having[key])}",
                    link(replace(view, flag=key, page=1)),
                    view.flag == key,
                )
                for key, flag in FLAGS.items()
                if having[key] or view.flag == key
            ),
        ],
    )


def _columns(view: AccountsView) -> list[Column]:
    def column(sort: str, title: str, help: str | None = None, *, is_wide: bool = False) -> Column:
        is_sorted = view.sort == sort
        return Column(
            title,
            sort not in ("name", "flags"),
            is_wide,
            help,
            link(sorted_by(view, sort)),
            ("descending" if view.is_descending else "ascending") if is_sorted else None,
        )

    return [
        column("name", "Account"),
        column("balance", "Balance", "Credits left, settled, and how many days they last"),
        column("used", "This month", "Credits used so far in the account's month", is_wide=True),
        column(
            "margin",
            "Margin",
            "What the month's credits were paid with less provider cost, US dollars; blank where "
            "the money is of another currency or a cost is unknown",
            is_wide=True,
        ),
        column(
            "projected", "Projected", "Credits and provider cost of the whole month", is_wide=True
        ),
        column("flags", "Flags"),
    ]


def _row(line: Line, watched: Watched) -> list[Child]:
    each = line.standing
    return [
        named(
            formats.clip(each.name, 60),
            f"{each.account_id} · {_PLANS.get(each.plan, each.plan)}",
            each.name,
            f"./?{urlencode({'account': each.account_id})}",
        ),
        figure(formats.credits(each.balance_credits), _lasts(each)),
        figure(
            formats.credits(each.credits),
            formats.plural(each.events, "operation") if each.events else None,
        ),
        _margin(each),
        figure(
            formats.credits(each.projected_credits),
            f"{formats.usd(each.projected_cost_usd)} cost"
            if each.projected_cost_usd is not None
            else None,
        ),
        tag("div", *(_flag(flag, each, watched) for flag in line.flags), class_="mh-flags"),
    ]


def _lasts(each: Standing) -> str | None:
    if each.overage_credits:
        return f"{formats.credits(each.overage_credits)} not paid"
    if each.runway_days is None or not each.granted_credits:
        return None
    return formats.plural(int(each.runway_days), "day")


def _margin(each: Standing) -> Html:
    """The margin and its part of the revenue; what it is made of where it cannot be told."""
    if not each.events:
        return figure(formats.DASH)
    if each.margin_usd is not None:
        share = each.margin_share
        return figure(formats.usd(each.margin_usd), formats.share(share) if share else "no revenue")
    earned = formats.money(each.revenue_minor, each.revenue_currency or each.currency)
    return figure(formats.DASH, f"{earned} − {formats.usd(each.provider_cost_usd)}")


def _flag(flag: Flag, each: Standing, watched: Watched) -> Html:
    """A flag with what it is about in its title, leading to where that is shown."""
    account = each.account_id
    query = urlencode({"account": account})
    about, href = flag.means, f"./?{query}"
    if flag.key in ("empty", "low"):
        href = f"credits?{query}"
        if each.run_out_date is not None:
            about = f"Credits run out about {formats.day(each.run_out_date)}"
    elif flag.key == "overdue":
        href = invoices_link(account)
        about = ", ".join(
            f"{invoice.number}: {formats.money(invoice.open_minor, invoice.currency)} "
            f"was due {formats.day(invoice.due_on)}"
            for invoice in overdue(each, watched)
        )
    elif flag.key == "budget":
        href = f"budgets?{query}"
        about = f"Reached: {', '.join(watched.budgets.get(account, ()))}"
    elif flag.key == "spike":
        href = insights_link(account, InsightsView(incident=each.spike_date))
    elif flag.key == "unrated":
        href = f"usage?{query}&rating=unrated"
        about = f"{formats.plural(each.unrated_events, 'operation')} without a rate"
    elif flag.key == "held":
        href = "data-health"
        about = f"{formats.plural(watched.held.get(account, 0), 'row')} rejected and not replayed"
    elif flag.key == "idle":
        about = (
            f"Last used {formats.day(each.last_usage_date)}"
            if each.last_usage_date
            else "Never used"
        )
    return to(href, badge(flag.text, flag.kind, about), label=f"{flag.text}: {about}")


if __name__ == "__main__":
    draw()
