"""What a message of an alert says: its subject, its letter, JSON. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from urllib.parse import quote, urlencode

from billing.alerts.letters import Letter, one_line, shown
from billing.alerts.machine import Transition
from billing.budgets.budget import Budget, Period


@dataclass(frozen=True)
class Facts:
    """What a message tells besides the change of state.

    ``limit`` is the whole limit of a budget. ``drivers`` are (agent or model, its name, use, use
    in the same days of the period before). ``parts`` are (cause, credits) of a spike.
    """

    account_name: str
    unit: str
    link: str
    days: Sequence[tuple[date, Decimal]] = ()
    drivers: Sequence[tuple[str, str, Decimal, Decimal]] = ()
    missing_events: int = 0
    limit: Decimal | None = None
    parts: Sequence[tuple[str, Decimal]] = ()


def subject(change: Transition, facts: Facts) -> str:
    """One line, whatever names hold."""
    word = "Alert" if change.reading.state == "firing" else "Ended"
    return one_line(f"{word}: {change.reading.title} ({facts.account_name})")


def letter(change: Transition, facts: Facts) -> Letter:
    """The mail of a change of state."""
    lists: list[tuple[str, list[str]]] = []
    if facts.drivers:
        lists.append(
            (
                "What changed most since the same days of the period before",
                [_driver(each, facts.unit) for each in facts.drivers],
            )
        )
    if facts.parts:
        lists.append(
            (
                "Where it came from",
                [f"{cause}: {shown(part)} credits" for cause, part in facts.parts],
            )
        )
    return Letter(
        title=subject(change, facts),
        tone="bad" if change.reading.state == "firing" else "good",
        figures=_figures(change, facts),
        link=facts.link,
        link_text="Usage behind it" if "/usage?" in facts.link else "Credits of the account",
        days=facts.days,
        lists=lists,
    )


def payload(change: Transition, facts: Facts) -> str:
    """The message as JSON for a webhook; amounts are texts with every digit."""
    reading = change.reading
    return json.dumps(
        {
            "reference": change.reference,
            "account_id": reading.account_id,
            "rule": reading.rule_key,
            "period": reading.period_key,
            "state": reading.state,
            "title": reading.title,
            "amount": None if reading.amount is None else f"{reading.amount.normalize():f}",
            "limit": f"{reading.limit.normalize():f}",
            "unit": facts.unit,
            "occurred_at": change.at.isoformat(),
            "link": facts.link,
        },
        ensure_ascii=False,
    )


def usage_link(base: str, account_id: str, budget: Budget, period: Period) -> str:
    """The Usage page filtered to what a budget measures; a test holds it to the app's own."""
    return days_link(base, account_id, period.first, period.until, budget.scope, budget.part)


def days_link(
    base: str, account_id: str, first: date, until: date, scope: str, part: str | None
) -> str:
    """The Usage page of days, half open, of an agent, model or category, or of the account."""
    parameters = {"account": account_id, "from": first.isoformat(), "to": until.isoformat()}
    if part is not None and scope != "account":
        parameters[scope] = part
    return f"{base}/usage?{urlencode(parameters, quote_via=quote, safe='/:,')}"


def _figures(change: Transition, facts: Facts) -> list[tuple[str, str]]:
    reading = change.reading
    found = [
        ("Figure", f"{shown(reading.amount)} {facts.unit}"),
        ("Alerts at", f"{shown(reading.limit)} {facts.unit}"),
    ]
    if facts.limit is not None and reading.amount is not None:
        percent = int(100 * reading.amount / facts.limit)
        found.append(("Limit", f"{shown(facts.limit)} {facts.unit}, {percent:,} % of it"))
    if reading.period_key[:1].isdigit():
        found.append(("Period", f"from {reading.period_key}"))
    if facts.missing_events:
        found.append(("Not in it", f"{facts.missing_events:,} operations without a figure yet"))
    return found


def _driver(each: tuple[str, str, Decimal, Decimal], unit: str) -> str:
    kind, name, now, before = each
    return f"{kind} {name}: {shown(now)} {unit}, before {shown(before)}"
