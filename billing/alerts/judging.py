"""From figures to readings: whether a rule fires. Pure functions."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.alerts.figures import Balance, Used
from billing.alerts.machine import Reading, State
from billing.alerts.rules import AlertRule
from billing.budgets.budget import Budget, Period, month_period, period_of
from billing.incidents import PARTS, Incident

LATE_DAYS = 3
"""Days for which a month that ended is still judged: late usage may bring it over its limit."""

RUN_RATE_AFTER = timedelta(days=3)
"""How much of a period must have passed before its run rate says anything."""

JOIN_DAYS = 3
"""Unusual days so near to each other are one incident: ``spike_join_days`` of dbt_project.yml."""

STALE_AFTER = timedelta(hours=48)
"""Age of the published figures from which there are no data."""


def periods(budget: Budget, today: date) -> list[Period]:
    """The period that runs, and a month that ended within the last days."""
    found = [period_of(budget, today)]
    if budget.rolling_days is None and today.day <= LATE_DAYS:
        found.insert(0, month_period(today.replace(day=1) - timedelta(days=1)))
    return found


def local_day(moment: datetime, zone: str) -> date:
    """The day of an aware time in a zone."""
    return moment.astimezone(ZoneInfo(zone)).date()


def midnight(day: date, zone: str) -> datetime:
    """The instant at which a day begins in a zone, the earlier one if there are two."""
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)


def run_rate(amount: Decimal, period: Period, moment: datetime, zone: str) -> Decimal | None:
    """What the whole period comes to if use goes on as until ``moment``: use ÷ time passed × all.

    Time is what clocks measure, so a day of 23 hours counts as 23. A period that is over, or
    has not begun, is what it is. None in its first days: an hour's use × 720 would alarm anybody.
    """
    start, end = midnight(period.first, zone), midnight(period.until, zone)
    if not start < moment < end:
        return amount
    passed, whole = moment - start, end - start
    if passed < RUN_RATE_AFTER:
        return None
    second = timedelta(microseconds=1)
    return (amount * (whole // second) / (passed // second)).quantize(Decimal("0.000000001"))


def budget_readings(
    budget: Budget, period: Period, use: Used | None, projected: Decimal | None
) -> list[Reading]:
    """One reading a threshold. No ``use`` is no data; no ``projected`` leaves those out."""
    found = []
    for basis, percents, amount in (
        ("actual", budget.actual_percents, use.amount if use else None),
        ("projected", budget.projected_percents, projected if use else None),
    ):
        if basis == "projected" and use is not None and projected is None:
            continue
        for percent in percents:
            limit = budget.limit_amount * percent / 100
            found.append(
                Reading(
                    f"budget:{budget.budget_id}:{budget.definition}:{basis}:{percent}",
                    period.key,
                    budget.account_id,
                    f"{budget.name}: {basis} use at {percent} % of the limit",
                    _state(None if amount is None else amount >= limit),
                    amount,
                    limit,
                    is_standing=not period.is_month,
                    tells_end=budget.tells_end,
                )
            )
    return found


def balance_readings(
    rules: Sequence[AlertRule], plan: str, balance: Balance | None
) -> list[Reading]:
    """Low balance and runway of an account that has credits to look after.

    Who never had any, and who pays afterwards, is not judged. The runway of a balance that is
    used up is not judged either: that it is at its end is told by the balance.
    """
    if plan == "postpaid" or (balance is not None and not balance.granted):
        return []
    found = []
    for rule in rules:
        if not rule.is_on or rule.kind not in ("low_balance", "runway"):
            continue
        amount = None
        if balance is not None:
            if rule.kind == "runway" and balance.balance <= 0:
                continue
            amount = balance.balance if rule.kind == "low_balance" else balance.runway_days
        if rule.kind == "low_balance":
            state = _state(None if amount is None else amount <= rule.threshold)
            title = f"Balance at or below {rule.threshold.normalize():f} credits"
        else:
            is_short = amount is not None and amount < rule.threshold
            state = _state(None if balance is None else is_short)
            title = f"Credits last less than {rule.threshold.normalize():f} days"
        found.append(
            Reading(
                f"{rule.kind}:{rule.account_id}",
                "always",
                rule.account_id,
                title,
                state,
                amount,
                rule.threshold,
                is_standing=True,
                tells_end=rule.tells_end,
            )
        )
    return found


def spike_reading(rule: AlertRule, incident: Incident) -> Reading:
    """An incident is a period of its own: told once. ``amount`` are credits above the expected."""
    who = "" if incident.driver == "account" else f", {incident.driver} {incident.driver_id}"
    return Reading(
        f"spike:{incident.account_id}",
        incident.first_date.isoformat(),
        incident.account_id,
        f"Spike: {PARTS[incident.cause]}{who}",
        _state(incident.excess_credits >= rule.threshold),
        incident.excess_credits,
        rule.threshold,
        is_standing=False,
        tells_end=False,
    )


def same_incident(incident: Incident, told: Iterable[str]) -> str:
    """The period that an incident has among those ``told`` of its account, else its first day.

    Late usage may move the first day: it is the same incident as long as the day that it was told
    under lies in it, or so near before it that both days would be one incident.
    """
    near = (incident.first_date - timedelta(days=JOIN_DAYS)).isoformat()
    found = [day for day in told if near <= day <= incident.last_date.isoformat()]
    return min(found, default=incident.first_date.isoformat())


def _state(fires: bool | None) -> State:
    if fires is None:
        return "no_data"
    return "firing" if fires else "ok"
