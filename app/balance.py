"""The balance of an account as markup: how much is left, of what, and for how long.

Pure functions from a position to what a page shows; ``views/balance.py`` keeps it up to date.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app import formats
from app.credits_address import link as credits_link
from app.gate import Account
from app.markup import Child, Html, badge, join, link, tag
from app.queries.credits import soon
from billing.position import CreditPosition
from billing.validation import INVOICED_PLANS

LOW_DAYS = 14
"""A runway shorter than this is low."""

SOON_DAYS = 14
"""Lots that expire within so many days are told of."""


@dataclass(frozen=True)
class Standing:
    """How an account stands: ``kind`` is good, warn, bad or quiet; ``text`` says it in a word."""

    kind: str
    text: str
    detail: str = ""


def standing(position: CreditPosition, plan: str) -> Standing:
    """Whether there is enough, little or nothing left."""
    if position.overage > 0:
        over = f"{formats.credits(position.overage)} credits used beyond the lots"
        if plan in INVOICED_PLANS:
            return Standing("warn", "Overage", f"{over}, billed with the next invoice")
        return Standing("bad", "Overage", f"{over}; the next lot pays them first")
    if not position.lots:
        return Standing("quiet", "No credits yet")
    if position.remaining <= 0:
        kind = "warn" if plan in INVOICED_PLANS else "bad"
        return Standing(kind, "Nothing left")
    if position.runway_days is not None and position.runway_days < LOW_DAYS:
        return Standing("warn", "Low balance")
    return Standing("good", "Covered")


def runway(position: CreditPosition) -> str:
    """``≈ 71 days left at 12.3 a day``, with the pace that it assumes."""
    pace, days = position.daily_pace, position.runway_days
    if pace is None or not pace:
        return "No usage in the last four weeks to tell how long it lasts"
    at = f"at {formats.credits(pace)} a day"
    if days is None:
        return f"More than a year left {at}"
    if position.balance <= 0 or position.remaining <= 0:
        return f"Nothing left; usage goes on {at}"
    if days == 0:
        return f"Less than a day left {at}"
    return f"≈ {formats.plural(days, 'day')} left {at}"


def balance_head(
    position: CreditPosition, account: Account, now: datetime, *, is_on_credits: bool
) -> Html:
    """The band at the head of a page: balance and runway, its two parts, how it stands.

    ``is_on_credits`` leaves out the way to the Credits page.
    """
    state = standing(position, account.plan)
    value = formats.credits(position.balance)
    to_credits = credits_link(account.account_id)
    return tag(
        "section",
        tag(
            "div",
            tag("div", "Balance", _dot(), class_="mh-balance-label"),
            tag(
                "div",
                value if is_on_credits else link(to_credits, value, label=f"Balance {value}"),
                tag("small", "credits"),
                class_="mh-balance-value",
                style=f"--letters:{max(len(value), 5) + 5}",
                data_balance=f"{position.balance:f}",
            ),
            tag("div", runway(position), class_="mh-balance-runway")
            if position.lots or position.overage
            else None,
            class_="mh-balance-main",
        ),
        _parts(position, account.time_zone),
        tag(
            "div",
            badge(state.text, state.kind),
            tag("div", state.detail, class_="mh-balance-note") if state.detail else None,
            *_hints(position, account, now, to_credits, is_on_credits=is_on_credits),
            class_="mh-balance-side",
        ),
        class_=f"mh-balance mh-balance-{state.kind}",
        aria_label="Balance",
    )


def _dot() -> Html:
    return tag(
        "span", class_="mh-live", title="Refreshed every two seconds, usage just loaded included"
    )


def _parts(position: CreditPosition, zone: str) -> Html:
    """The settled part, what pending usage takes from it, and a bar of what is left of the lots."""
    granted = sum((lot.granted for lot in position.lots if lot.status == "active"), Decimal(0))
    left = position.remaining / granted if granted else Decimal(0)
    pending: Child = formats.credits(-position.pending)
    if position.pending > 0:
        pending = f"{formats.MINUS}{formats.credits(position.pending)}"
    elif position.pending < 0:
        pending = f"+{formats.credits(-position.pending)}"
    waiting = [formats.plural(position.pending_events, "operation")]
    if position.pending_unrated_events:
        waiting.append(f"{formats.number(position.pending_unrated_events)} not rated yet")
    return tag(
        "div",
        tag(
            "dl",
            _part(
                "Settled",
                formats.credits(position.settled_balance),
                f"checked {formats.moment(position.settled_until, zone)}"
                if position.settled_until
                else "nothing published yet",
            ),
            _part("Pending", pending, " · ".join(waiting)),
            class_="mh-balance-parts",
        ),
        tag(
            "div",
            tag("i", style=f"width:{100 * float(min(Decimal(1), max(Decimal(0), left))):.1f}%"),
            class_="mh-balance-bar",
            title=f"{formats.share(left)} of the active lots is left",
        )
        if granted
        else None,
        class_="mh-balance-middle",
    )


def _part(name: str, value: Child, detail: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", value, tag("span", detail, class_="mh-detail")))


def _hints(
    position: CreditPosition,
    account: Account,
    now: datetime,
    to_credits: str,
    *,
    is_on_credits: bool,
) -> list[Child]:
    """What expires soon, and what to do."""
    hints: list[Child] = []
    expiring = soon(position.lots, now, SOON_DAYS)
    if expiring:
        first = expiring[0].expires_at
        alike = [lot for lot in expiring if lot.expires_at == first]
        amount = formats.credits(sum((lot.remaining for lot in alike), Decimal(0)))
        hints.append(
            tag(
                "div",
                f"{amount} expire {formats.moment(first, account.time_zone)}",
                class_="mh-balance-note",
            )
        )
    if not is_on_credits:
        hints.append(tag("div", link(to_credits, "Lots, ledger, buy credits"), class_="mh-buy"))
    elif not position.lots:
        hints.append(
            tag(
                "div",
                "Buy a package below, or grant some: ",
                tag("code", f"meterhouse credits grant {account.account_id} 100 --reason start"),
                class_="mh-balance-note",
            )
        )
    return hints


def not_declared(account: Account) -> Html:
    """What stands in place of the balance of an account that the operational store lacks."""
    return join(
        [
            tag(
                "section",
                tag("div", tag("div", "Balance", class_="mh-balance-label"), formats.DASH),
                tag(
                    "div",
                    "This account has no credits: it is not declared here. ",
                    tag("code", f"meterhouse accounts add {account.account_id}"),
                    class_="mh-balance-note",
                ),
                class_="mh-balance mh-balance-quiet",
                aria_label="Balance",
            )
        ]
    )
