"""What a budget is, and what it may hold. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from billing import validation
from billing.validation import next_month
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

SCOPES = ("account", "agent", "model", "category")
UNITS = ("credits", "usd")
"""``usd`` is provider cost at list prices, the only money that is known of every scope."""

MOST_PERCENT = 1_000
MOST_RECIPIENTS = 20
LONGEST_ROLLING = 366
ACTUAL_PERCENTS = (50, 80, 100)
PROJECTED_PERCENTS = (100,)


@dataclass(frozen=True)
class Budget:
    """A limit of use. ``part`` is the agent, model or category; None for the whole account.

    It holds for a calendar month of the account, or for the last ``rolling_days`` days, today
    among them. Percents are of the limit, ascending. Without ``recipients`` the account's e-mail
    is told. ``budget_id`` and ``definition`` are 0 before it is stored.
    """

    account_id: str
    name: str
    scope: str
    part: str | None
    unit: str
    limit_amount: Decimal
    rolling_days: int | None
    actual_percents: tuple[int, ...]
    projected_percents: tuple[int, ...]
    recipients: tuple[str, ...]
    webhook_url: str | None
    tells_end: bool
    is_enforced: bool
    is_removed: bool = False
    budget_id: int = 0
    definition: int = 0
    recorded_at: datetime | None = None
    recorded_by: str = ""

    @property
    def measured(self) -> tuple[Any, ...]:
        """What makes it another measure, with alerts of its own, when it changes."""
        return (self.scope, self.part, self.unit, self.limit_amount, self.rolling_days)

    @property
    def about(self) -> str:
        """What it limits, in words."""
        return "the account" if self.part is None else f"the {self.scope} {self.part}"


@dataclass(frozen=True)
class Period:
    """Days of an account, half open; ``key`` names the period in the history of alerts."""

    key: str
    first: date
    until: date
    is_month: bool

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.until - self.first).days


def make_budget(
    account_id: str,
    *,
    name: str,
    limit: str | Decimal,
    scope: str = "account",
    part: str | None = None,
    unit: str = "credits",
    rolling_days: int | None = None,
    actual_percents: Sequence[int] = ACTUAL_PERCENTS,
    projected_percents: Sequence[int] | None = None,
    recipients: Sequence[str] = (),
    webhook_url: str | None = None,
    tells_end: bool = False,
    is_enforced: bool = False,
) -> Budget:
    """A valid budget that is not stored yet. Raises MeterhouseError for what cannot be one.

    ``projected_percents`` default to 100 for a calendar month; rolling days have none.
    """
    if scope not in SCOPES:
        raise MeterhouseError(f"{scope!a} is no scope; choose one of {', '.join(SCOPES)}")
    if unit not in UNITS:
        raise MeterhouseError(f"{unit!a} is no unit; choose one of {', '.join(UNITS)}")
    if (scope == "account") != (part is None):
        raise MeterhouseError(
            "a budget of the account has no part"
            if part is not None
            else f"say which {scope} the budget is of"
        )
    amount = validation.exact_decimal(limit, "a limit", decimals=9)
    if amount <= 0:
        raise MeterhouseError(f"a budget's limit must be above 0, not {amount.normalize():f}")
    if rolling_days is not None and not 1 <= rolling_days <= LONGEST_ROLLING:
        raise MeterhouseError(
            f"rolling days are 1 to {LONGEST_ROLLING}, not {rolling_days}; leave them out for "
            "calendar months"
        )
    if projected_percents is None:
        projected_percents = PROJECTED_PERCENTS if rolling_days is None else ()
    if rolling_days is not None and projected_percents:
        raise MeterhouseError("rolling days have no end to project to; use percents of actual use")
    if unit == "usd" and not any(map(str.strip, recipients)) and not webhook_url:
        raise MeterhouseError(
            "a budget of provider cost is not told to the account's own address; give the "
            "addresses, or the webhook, that it is told to"
        )
    if is_enforced and unit != "credits":
        raise MeterhouseError("only a limit of credits can be enforced: costs are known later")
    actual, projected = percents(actual_percents), percents(projected_percents)
    if not actual and not projected and not is_enforced:
        raise MeterhouseError("a budget needs a percent at which it alerts, or to be enforced")
    return Budget(
        account_id=account_id,
        name=validation.line("budget's name", name, 100),
        scope=scope,
        part=None if part is None else validation.line(scope, part, 200),
        unit=unit,
        limit_amount=amount,
        rolling_days=rolling_days,
        actual_percents=actual,
        projected_percents=projected,
        recipients=addresses(recipients),
        webhook_url=web_address(webhook_url),
        tells_end=tells_end,
        is_enforced=is_enforced,
    )


def percents(given: Sequence[int]) -> tuple[int, ...]:
    """Percents of a limit, ascending: each once, 1 to 1,000."""
    found = tuple(sorted(given))
    for each in found:
        if not 1 <= each <= MOST_PERCENT:
            raise MeterhouseError(f"a threshold is 1 to {MOST_PERCENT:,} %, not {each:,} %")
    for each, after in pairwise(found):
        if each == after:
            raise MeterhouseError(f"the threshold {each} % is there twice; leave one out")
    return found


def addresses(given: Sequence[str]) -> tuple[str, ...]:
    """E-mail addresses, each once, in the order given."""
    found = dict.fromkeys(address for text in given if (address := validation.email(text)))
    if len(found) > MOST_RECIPIENTS:
        raise MeterhouseError(f"at most {MOST_RECIPIENTS} addresses can be told, not {len(found)}")
    return tuple(found)


def web_address(text: str | None) -> str | None:
    """The address of a webhook: https, or http on this machine; None for none."""
    if text is None or not text.strip():
        return None
    address = validation.line("webhook's address", text, 2000)
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
        address.encode("ascii")
        (host or "").encode("idna")
    except ValueError:
        host, parts = None, urlsplit("")
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))
    if not host or not is_secure or parts.username or any(c.isspace() for c in address):
        raise MeterhouseError(
            f"{address!a} is no address for a webhook; write for example https://customer.example/x"
        )
    return address


def refuse_unsigned(settings: Settings, webhook_url: str | None) -> None:
    """Raises MeterhouseError for a webhook while there is no secret to sign its messages with."""
    if webhook_url and not settings.alert_webhook_secret:
        raise MeterhouseError(
            "webhooks are signed, and there is no secret to sign with: set "
            "METERHOUSE_ALERT_WEBHOOK_SECRET, or leave the webhook out"
        )


def refuse_from_customer(budget: Budget) -> None:
    """Raises MeterhouseError for what only the platform itself may set up.

    That is a budget of provider cost, and a webhook inside the platform's own network: a customer
    would have this machine call there, and be told what it answered. Where a name leads is
    looked at when a message is sent.
    """
    if budget.unit != "credits":
        raise MeterhouseError("budgets of provider cost are for admins of the platform")
    host = (urlsplit(budget.webhook_url or "").hostname or "").rstrip(".")
    if budget.webhook_url and not is_public(host):
        raise MeterhouseError(
            f"{host!a} is not on the internet; write for example https://customer.example/x"
        )


def is_public(host: str) -> bool:
    """Whether an address by number, or a name by its ending, is one of the internet."""
    try:
        return ip_address(host).is_global
    except ValueError:
        name, _, top = host.rpartition(".")
        return bool(name) and not top.isdecimal() and top not in _INSIDE


_INSIDE = ("localhost", "local", "internal", "lan", "intranet", "home", "arpa")
"""Last parts of names that lead to no host of the internet."""


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def period_of(budget: Budget, today: date) -> Period:
    """The period that runs on the account's day ``today``."""
    if budget.rolling_days is None:
        return month_period(today)
    first = today - timedelta(days=budget.rolling_days - 1)
    return Period("rolling", first, today + timedelta(days=1), False)


def month_period(day: date) -> Period:
    """The calendar month of a day."""
    first = day.replace(day=1)
    return Period(first.isoformat(), first, next_month(first), True)
