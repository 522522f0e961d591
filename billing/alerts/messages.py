"""What a message says: subject, text, HTML with bars that mail programs show, JSON. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from html import escape
from urllib.parse import quote, urlencode

from billing.alerts.machine import Transition
from billing.budgets.budget import Budget, Period

_BAR_PIXELS = 60


@dataclass(frozen=True)
class Facts:
    """What a message tells besides the change of state.

    ``drivers`` are (agent or model, its name, use, use of as long a period before).
    """

    account_name: str
    unit: str
    link: str
    days: Sequence[tuple[date, Decimal]] = ()
    drivers: Sequence[tuple[str, str, Decimal, Decimal]] = ()
    missing_events: int = 0


def subject(change: Transition, facts: Facts) -> str:
    """One line."""
    word = "Alert" if change.reading.state == "firing" else "Ended"
    return f"{word}: {change.reading.title} ({facts.account_name})"[:400]


def text(change: Transition, facts: Facts) -> str:
    """The message as plain text."""
    lines = [subject(change, facts), "", *_figures(change, facts), ""]
    if facts.drivers:
        lines.append("What changed most since the same days of the period before:")
        lines += [f"  {_driver(each, facts.unit)}" for each in facts.drivers]
        lines.append("")
    return "\n".join([*lines, f"Usage behind it: {facts.link}", ""])


def html(change: Transition, facts: Facts) -> str:
    """The same as HTML without anything from outside; the chart is a table of bars."""
    colour = "#b3261e" if change.reading.state == "firing" else "#1b7f4b"
    rows = "".join(
        f"<p style='margin:4px 0'>{escape(line)}</p>" for line in _figures(change, facts)
    )
    drivers = "".join(f"<li>{escape(_driver(each, facts.unit))}</li>" for each in facts.drivers)
    return (
        "<!doctype html><html><body style='font:15px/1.5 sans-serif;color:#1c1c1c'>"
        f"<h2 style='color:{colour};font-size:18px'>{escape(subject(change, facts))}</h2>{rows}"
        f"{_bars(facts.days)}"
        + (
            f"<p>What changed most since the same days of the period before:</p><ul>{drivers}</ul>"
            if drivers
            else ""
        )
        + f"<p><a href='{escape(facts.link)}'>Usage behind it</a></p></body></html>"
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
    parameters = {
        "account": account_id,
        "from": period.first.isoformat(),
        "to": period.until.isoformat(),
    }
    if budget.part is not None:
        parameters[budget.scope] = budget.part
    return f"{base}/usage?{urlencode(parameters, quote_via=quote, safe='/:,')}"


def shown(amount: Decimal | None) -> str:
    """An amount with at most two decimals."""
    return "unknown" if amount is None else f"{amount:,.2f}".removesuffix(".00")


def _figures(change: Transition, facts: Facts) -> list[str]:
    reading = change.reading
    lines = [
        f"Figure: {shown(reading.amount)} {facts.unit}",
        f"Alerts at: {shown(reading.limit)} {facts.unit}",
    ]
    if reading.period_key[:1].isdigit():
        lines.append(f"Period: from {reading.period_key}")
    if facts.missing_events:
        lines.append(f"Not in it: {facts.missing_events:,} operations without a figure yet")
    return lines


def _driver(each: tuple[str, str, Decimal, Decimal], unit: str) -> str:
    kind, name, now, before = each
    return f"{kind} {name}: {shown(now)} {unit}, before {shown(before)}"


def _bars(days: Sequence[tuple[date, Decimal]]) -> str:
    highest = max((amount for _, amount in days), default=Decimal(0))
    if highest <= 0:
        return ""
    cells = "".join(
        f"<td valign='bottom' title='{day}: {shown(amount)}' style='padding:0 1px'>"
        f"<div style='width:8px;height:{max(int(_BAR_PIXELS * amount / highest), 1)}px;"
        "background:#3b6fd4'></div></td>"
        for day, amount in days
    )
    return f"<table cellpadding='0' cellspacing='0' height='{_BAR_PIXELS}'><tr>{cells}</tr></table>"
