"""Packages with their way to the checkout, what became of a purchase, and all purchases."""

import json
from urllib.parse import quote

import streamlit as st

from app import buying, formats
from app.credits_address import CreditsView
from app.deeds import READ_RECEIPT, START_PURCHASE
from app.gate import AccountReader, Gate
from app.markup import Child, Column, Html, badge, heading, notice, table, tag
from app.views.parts import card, or_whole_page, write
from billing.gateways import gateway_for
from billing.packages import Offer
from billing.purchases import Purchase
from warehouse.errors import MeterhouseError

ACROSS = 3
"""Packages side by side."""

STATES = {
    "started": ("not paid", "quiet"),
    "open": ("not paid", "quiet"),
    "paid": ("paid", "good"),
    "mismatched": ("wrong amount", "bad"),
    "expired": ("checkout expired", "quiet"),
    "partly_refunded": ("partly refunded", "warn"),
    "refunded": ("refunded", "warn"),
    "charged_back": ("charged back", "bad"),
}
"""What the states of purchases are called, and their badges."""


def draw_packages(gate: Gate, reader: AccountReader) -> None:
    """The packages that the account can buy."""
    offers: list[Offer] = []
    try:
        gateway, problem = gateway_for(gate.settings).name, None
        offers = buying.packages_of(reader)
    except MeterhouseError as error:
        gateway, problem = "", str(error)
    with card("packages", fills=False):
        write(
            heading(
                "Buy credits",
                badge("Demo payment, no money moves", "warn") if gateway == "demo" else None,
            )
        )
        if problem:
            write(tag("p", problem, class_="mh-soft"))
            return
        if not offers:
            write(
                tag(
                    "p",
                    f"No package is offered in {reader.account.currency}. Staff offer one with ",
                    tag("code", "meterhouse credits packages add"),
                    ".",
                    class_="mh-soft",
                )
            )
            return
        for start in range(0, len(offers), ACROSS):
            with st.container(key=f"row-packages-{start}"):
                columns = st.columns(ACROSS, gap="small")
            for column, offer in zip(columns, offers[start : start + ACROSS], strict=False):
                with column, card(f"package-{offer.offer_id}"):
                    _package(gate, reader, offer)


def _package(gate: Gate, reader: AccountReader, offer: Offer) -> None:
    write(package_card(offer))
    if not reader.may(START_PURCHASE):
        return
    key = f"credits-buy-{reader.account.account_id}-{offer.offer_id}"
    wish = st.session_state.setdefault(f"{key}-wish", buying.new_key())
    if st.button("Buy", key=f"buy-{offer.offer_id}", type="primary", width="stretch", help=None):
        try:
            url = buying.begin(reader, gate.settings, offer.offer_id, wish)
        except MeterhouseError as error:
            st.session_state[f"{key}-wish"] = buying.new_key()
            write(notice("bad", "Nothing was bought", str(error)))
            return
        write(
            tag(
                "p",
                "Leading to the checkout. ",
                tag("a", "Go there", href=url, target="_self"),
                class_="mh-soft",
            )
        )
        with st.container(key="leave"):
            st.html(leave_script(url), unsafe_allow_javascript=True)


def leave_script(url: str) -> str:
    """A script that leaves for ``url``, which it cannot end."""
    target = json.dumps(url).replace("<", "\\u003c").replace("&", "\\u0026")
    return f"<script>window.location.assign({target});</script>"


def package_card(offer: Offer) -> Html:
    """A package: what it costs, what it gives, how long it holds."""
    each = offer.price_minor * 1000 / (offer.credits + offer.bonus_credits)
    return tag(
        "div",
        tag("div", offer.name, class_="mh-package-name"),
        tag("div", formats.money(offer.price_minor, offer.currency), class_="mh-package-price"),
        tag(
            "div",
            tag("b", f"{formats.exact(offer.credits)} credits"),
            tag("span", f" + {formats.exact(offer.bonus_credits)} bonus", class_="mh-bonus")
            if offer.bonus_credits
            else None,
        ),
        tag(
            "div",
            _validity(offer),
            f" · {formats.money(each, offer.currency)} per {formats.number(1_000)}",
            class_="mh-detail",
        ),
        class_="mh-package",
    )


def _validity(offer: Offer) -> str:
    """How long credits and bonus hold."""
    text = (
        "no expiry"
        if offer.validity_days is None
        else f"valid {formats.plural(offer.validity_days, 'day')}"
    )
    if offer.bonus_credits and offer.bonus_validity_days != offer.validity_days:
        bonus = offer.bonus_validity_days
        text += ", bonus " + ("without expiry" if bonus is None else formats.plural(bonus, "day"))
    return text


def draw_message(reader: AccountReader, view: CreditsView) -> None:
    """What became of the purchase that the address names, told until it is settled."""

    def find() -> Purchase | None:
        return next(
            (each for each in buying.purchases_of(reader) if each.purchase_id == view.purchase),
            None,
        )

    bought = find()
    if bought is None:
        write(notice("quiet", "This account has no such purchase."))
        return
    is_open = bought.state in ("started", "open")

    locale = formats.in_use()

    @st.fragment(run_every=2 if is_open else None)
    def tell() -> None:
        formats.use(locale)
        with or_whole_page():
            now = find() or bought
        if is_open and now.state not in ("started", "open"):
            st.rerun()
        write(message(now, has_receipt=reader.may(READ_RECEIPT)))

    tell()


def message(bought: Purchase, *, has_receipt: bool = True) -> Html:
    """What became of a purchase, in a sentence."""
    what = f"{bought.name}, {formats.money(bought.price_minor, bought.currency)}"
    if bought.state == "paid":
        given = f"{formats.exact(bought.credits + bought.bonus_credits)} credits were added."
        return notice(
            "good",
            "Thank you, it is paid.",
            f"{what}: {given}",
            _receipt(bought) if has_receipt else None,
        )
    if bought.state in ("started", "open"):
        return notice(
            "quiet",
            "Not paid.",
            f"{what}: nothing was added. If you paid, the credits come as soon as the payment "
            "is confirmed.",
        )
    if bought.state == "mismatched":
        return notice(
            "bad", "The payment does not fit.", f"{what}: nothing was added; please write to us."
        )
    return notice("quiet", f"This purchase is {STATES[bought.state][0]}.", what)


def draw_purchases(reader: AccountReader) -> None:
    """All purchases of the account with their receipts."""
    found = buying.purchases_of(reader)
    if not found:
        return
    zone = reader.account.time_zone
    with card("purchases", fills=False):
        write(
            heading("Purchases", formats.plural(len(found), "purchase")),
            table(
                [
                    Column("Number", is_wide_only=True),
                    Column("When"),
                    Column("Package"),
                    Column("Price", True),
                    Column("State"),
                    Column("Receipt", is_wide_only=False),
                ],
                [_purchase_row(reader, bought, zone) for bought in found],
            ),
        )


def _purchase_row(reader: AccountReader, bought: Purchase, zone: str) -> list[Child]:
    text, kind = STATES[bought.state]
    bonus = f" + {formats.exact(bought.bonus_credits)} bonus" if bought.bonus_credits else ""
    return [
        formats.number(bought.number),
        formats.moment(bought.paid_at or bought.recorded_at, zone),
        tag(
            "div",
            tag("div", bought.name, class_="mh-name"),
            tag("div", f"{formats.exact(bought.credits)}{bonus}", class_="mh-detail"),
            class_="mh-named",
        ),
        formats.money(bought.price_minor, bought.currency),
        badge(text, kind),
        _receipt(bought) if bought.paid_at and reader.may(READ_RECEIPT) else formats.DASH,
    ]


def _receipt(bought: Purchase) -> Html:
    """Links to the receipt: to look at and print, to keep."""
    href = f"/receipts/{quote(bought.purchase_id, safe='')}"
    return tag(
        "span",
        tag(
            "a",
            "Receipt",
            href=href,
            target="_blank",
            aria_label=f"Receipt {bought.number}",
            class_="mh-out",
        ),
        " ",
        tag(
            "a",
            "↓",
            href=f"{href}?download=1",
            title="Download",
            aria_label=f"Download receipt {bought.number}",
            class_="mh-out",
        ),
        class_="mh-nowrap",
    )
