"""A budget tried on the past: which alerts it would have sent, when, how long before the limit.

Days are replayed at their ends from the published daily facts, as they are known now; projections
are those of the run rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from billing.alerts import judging
from billing.alerts.figures import PARTS, Used
from billing.alerts.machine import Past, step
from billing.budgets.budget import Budget, Period, period_of
from billing.live_usage import Lake
from warehouse.publication import Publication


@dataclass(frozen=True)
class SimulatedAlert:
    """A message that would have gone out at the end of ``day``.

    ``days_before`` is how many days later the limit was reached; None where it never was.
    """

    day: date
    title: str
    amount: Decimal
    limit: Decimal
    days_before: int | None


def use_by_day(lake: Lake, publication: Publication, budget: Budget) -> dict[date, Decimal]:
    """All settled use of what a budget measures, by the account's days."""
    column = "credits" if budget.unit == "credits" else "coalesce(provider_cost_usd, 0)"
    part = None if budget.part is None else PARTS[budget.scope]
    rows = lake.rows(
        f"select usage_date, sum({column}) from marts.main.rpt_usage_daily"
        f" where account_id = $account_id{f' and {part} = $part' if part else ''} group by 1",
        {"account_id": budget.account_id, **({"part": budget.part} if part else {})},
        publication=publication,
    )
    return {day: Decimal(amount) for day, amount in rows}


def simulate(
    budget: Budget, used: Mapping[date, Decimal], first: date, until: date, zone: str
) -> list[SimulatedAlert]:
    """The messages of the days from ``first`` to before ``until``; a pure function."""
    sent: list[tuple[date, Period, str, Decimal, Decimal]] = []
    reached: dict[str, date] = {}
    pasts: dict[tuple[str, str], Past] = {}
    day = first
    while day < until:
        period = period_of(budget, day)
        amount = sum(
            (
                used.get(period.first + timedelta(days=n), Decimal(0))
                for n in range((day - period.first).days + 1)
            ),
            Decimal(0),
        )
        end = judging.midnight(day + timedelta(days=1), zone) - timedelta(microseconds=1)
        projected = judging.run_rate(amount, period, end, zone)
        if amount >= budget.limit_amount:
            reached.setdefault(_month(period, day), day)
        for reading in judging.budget_readings(budget, period, Used(amount, 0), projected):
            key = (reading.rule_key, reading.period_key)
            past = pasts.get(key, Past())
            change = step(past, reading, end)
            if change is None:
                continue
            pasts[key] = past.after(reading.state, change.is_told, end)
            if change.is_told and reading.state == "firing":
                seen = reading.amount or Decimal(0)
                sent.append((day, period, reading.title, seen, reading.limit))
        day += timedelta(days=1)
    return [
        SimulatedAlert(
            day,
            title,
            amount,
            limit,
            (at - day).days if (at := reached.get(_month(period, day))) else None,
        )
        for day, period, title, amount, limit in sent
    ]


def _month(period: Period, day: date) -> str:
    return period.key if period.is_month else f"{period.key} {day:%Y-%m}"


def past_months(months: int, zone: str, now: datetime | None = None) -> tuple[date, date]:
    """The last whole months and the one that runs: first day, and tomorrow."""
    today = judging.local_day(now or datetime.now(UTC), zone)
    first = today.replace(day=1)
    for _ in range(months):
        first = (first - timedelta(days=1)).replace(day=1)
    return first, today + timedelta(days=1)
