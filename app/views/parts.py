"""Pieces of layout that the pages share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any, Literal

import altair
import streamlit as st
from altair.utils import schemapi

from app import address, context, formats
from app.gate import Account, Gate, UnknownAccount
from app.markup import Child, Html, badge, empty, join, link, notice, support, tag
from app.users import Forbidden, NotSignedIn
from warehouse.publication import Publication
from warehouse.settings import load_settings

WATCH_SECONDS = 15


def card(key: str, *, fills: bool = True) -> st.delta_generator.DeltaGenerator:
    """A bordered card that ``fills`` its row; ``key`` names it for the style sheet."""
    return st.container(border=True, height="stretch" if fills else "content", key=f"card-{key}")


def row(key: str, *weights: float) -> Sequence[st.delta_generator.DeltaGenerator]:
    """Cards side by side, as wide as their weights say; one below the other where it is narrow."""
    with st.container(key=f"row-{key}"):
        return st.columns(list(weights), gap="small")


def write(*parts: Child) -> None:
    """Put markup on the page."""
    st.html(join(parts))


_BANNER: ContextVar[st.delta_generator.DeltaGenerator | None] = ContextVar("banner", default=None)


def place_banner() -> None:
    """Keep the place above the page where the staff is told whose account they look at."""
    _BANNER.set(st.container(key="staff-banner"))


def _banner(account: Account) -> None:
    place = _BANNER.get() or st.container(key="staff-banner")
    with place:
        write(
            tag(
                "div",
                tag(
                    "span",
                    "You are looking at ",
                    tag("b", formats.clip(account.name, 60)),
                    " as staff",
                ),
                link("accounts", "Leave", label=f"Leave {account.name}"),
                class_="mh-staff",
                role="note",
            )
        )


def draw_chart(
    make: "partial[altair.LayerChart]",
    *,
    key: str,
    alt: str,
    on_select: Literal["ignore", "rerun"] = "ignore",
) -> Any:
    """Draw the chart that ``make()`` makes, and tell what is selected in it.

    It is made once for all sessions that show the same figures by the same customs.
    """
    figures = repr((make, formats.in_use()))
    return st.vega_lite_chart(spec=_spec(figures, make), key=key, alt=alt, on_select=on_select)


@st.cache_data(max_entries=500, ttl="1h", show_spinner=False)
def _spec(figures: str, _make: "partial[altair.LayerChart]") -> dict[str, Any]:
    # Altair would hold every part to Vega-Lite's schema, which takes longer than all the rest of
    # a page. The tests do that.
    with schemapi.debug_mode(False):
        spec: dict[str, Any] = _make().to_dict(validate=False)
    return spec


def status_line(gate: Gate, zone: str, *before: Child, after: Sequence[Child] = ()) -> Html:
    """As of when a page's figures are, in a zone, and that they are settled.

    ``before`` says whose days these are, ``after`` what is not settled or not of that moment.
    """
    publication = gate.publication
    if publication is None:
        told: list[Child] = [badge("Nothing is published yet", "warn")]
    else:
        as_of = context.freshness(gate).as_of
        told = [
            tag("span", f"data as of {formats.moment(as_of, zone)}"),
            badge(
                f"Settled · snapshot {publication.marts_snapshot}",
                "good",
                f"Passed every check and published {formats.moment(publication.published_at)}",
            ),
        ]
    return tag("div", *(tag("span", text) for text in before), *told, *after, class_="mh-status")


def live_line(now: datetime, zone: str = "UTC") -> Html:
    """As of when a page is that reads everything anew, such as what people changed."""
    told = tag("span", f"data as of {formats.moment(now, zone)}")
    return tag("div", told, badge("Live", "good"), class_="mh-status")


def open_account(gate: Gate, title: str, *, needs_usage: bool = False) -> Account | None:
    """A page's title, and the account that it is about; None where there is none to choose yet.

    What to do then is written, and of an account that the address asked for in vain that there is
    none. ``needs_usage`` is for pages that show nothing before the first publication.
    """
    accounts = context.accounts(gate)
    missing = None
    if needs_usage and gate.publication is None:
        missing = nothing_published(gate)
    elif not accounts:
        missing = no_accounts(gate)
    if missing is not None:
        write(tag("h1", title), missing)
        watch(gate.publication)
        return None
    with st.container(key="page-head", horizontal=True, vertical_alignment="center"):
        write(tag("h1", title))
        with st.container(
            key="choosers", horizontal=True, horizontal_alignment="right", width="stretch"
        ):
            account, missed = choose_account(accounts)
    if missed is not None:
        name = formats.clip(account.name, 60)
        write(notice("quiet", f"There is no account “{missed}”. This is {name}."))
    return account


def choose_account(accounts: Sequence[Account]) -> tuple[Account, str | None]:
    """The account chooser, those with usage first; what the address asked for in vain.

    The page is written by the customs of the chosen account from here on.
    To ask for an account that one may not see is logged, whether or not it exists. Who signed in as
    staff chooses on the page Accounts first, and is told all the while whose account it is.
    """
    if context.must_choose():
        st.switch_page("views/accounts.py")
    by_id = {account.account_id: account for account in accounts}
    by_use = sorted(accounts, key=lambda account: account.last_usage_date is None)
    chosen, missed = address.choose(
        "account",
        "Account",
        [account.account_id for account in by_use],
        lambda account_id: _label(by_id[account_id], accounts),
    )
    if missed is not None:
        context.log_missed(missed)
    formats.use(context.locale(context.open_gate(), chosen))
    if context.looks_as_staff(chosen):
        _banner(by_id[chosen])
    return by_id[chosen], missed


def _label(account: Account, accounts: Sequence[Account]) -> str:
    """An account's name, with its id where another has the same name."""
    alike = sum(other.name == account.name for other in accounts)
    return account.name if alike == 1 else f"{account.name} · {account.account_id}"


def no_accounts(gate: Gate) -> Html:
    """What to do before there is any account; a customer sees one at least."""
    return empty(
        "There are no accounts yet",
        "Usage belongs to accounts. Declare one, or let a load declare those it finds:",
        tag(
            "span",
            link("first-source", "Go step by step to the first own usage"),
            class_="mh-ways",
        )
        if gate.user.is_staff
        else None,
        commands=(
            "meterhouse accounts add acme --name 'Acme Robotics'",
            "meterhouse load --create-accounts --source meterhouse usage.ndjson",
        ),
    )


def nothing_published(gate: Gate) -> Html:
    """What to do before the first publication."""
    if not gate.user.is_staff:
        return empty(
            "Nothing is published yet",
            "Your usage shows here by itself once it was loaded and checked. ",
            join(["If you miss some, ask: ", support(gate.settings)]),
        )
    way = link("first-source", "Go step by step to the first own usage")
    if gate.has_raw():
        return empty(
            "Nothing is published yet",
            "Usage was loaded, but no refresh has built, checked and published it.",
            tag("span", way, class_="mh-ways"),
            commands=("meterhouse refresh",),
        )
    return empty(
        "Nothing is published yet",
        "There is no usage in this house yet. Load a log or make a sample, then refresh:",
        tag("span", way, class_="mh-ways"),
        commands=(
            "meterhouse sample",
            "meterhouse load --source meterhouse usage.ndjson",
            "meterhouse refresh",
        ),
    )


def pager(
    page: int,
    pages: int,
    href: Callable[[int], str],
    back: str = "‹ Back",
    onward: str = "Next ›",
) -> Html | None:
    """The way to other pages, each at its ``href``; None where there is one."""
    if pages <= 1:
        return None

    def to(number: int, text: str, label: str) -> Html:
        if not 1 <= number <= pages or number == page:
            return tag("span", text, class_="mh-choice mh-off", aria_disabled="true")
        return link(href(number), text, label=label, class_="mh-choice")

    return tag(
        "nav",
        to(1, "« First", "First page"),
        to(page - 1, back, "Page before"),
        tag("span", f"Page {formats.number(page)} of {formats.number(pages)}", class_="mh-soft"),
        to(page + 1, onward, "Next page"),
        to(pages, "Last »", "Last page"),
        class_="mh-pager",
        aria_label="Pages",
    )


@contextmanager
def or_whole_page() -> Iterator[None]:
    """Draw the whole page anew where who opened it may not see this part any more: it says why.

    For parts that are drawn anew by themselves, on pages that ask the same before: one that draws a
    part which is refused from the first would be drawn anew for ever.
    """
    try:
        yield
    except (NotSignedIn, UnknownAccount, Forbidden):
        st.rerun()


def watch(publication: Publication | None) -> None:
    """Show the page anew by itself once something newer is published, or roles have changed."""
    user = context.visiting(load_settings()).user

    @st.fragment(run_every=WATCH_SECONDS)
    def look() -> None:
        is_new = context.shared_reader().publication() != publication
        if is_new or context.visiting(load_settings()).user != user:
            st.rerun()

    look()
