"""What alerts read of the published marts: sums of use, projections, balances, incidents.

All budgets are answered by one aggregation over the daily facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing.budgets.budget import Budget, Period
from billing.incidents import COLUMNS, Incident
from billing.live_usage import Lake
from warehouse.publication import Publication

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Used:
    """Use of a budget in a period; ``missing_events`` have no credits, or no cost, yet."""

    amount: Decimal
    missing_events: int


@dataclass(frozen=True)
class Balance:
    """Settled credits of an account; ``runway_days`` is None without a pace or without lots."""

    balance: Decimal
    granted: Decimal
    runway_days: Decimal | None


Ask = tuple[Budget, Period]


def as_of(lake: Lake, publication: Publication) -> datetime | None:
    """Up to when the published figures reach: UTC without a zone."""
    rows = lake.rows("select as_of from marts.main.rpt_freshness", {}, publication=publication)
    return rows[0][0] if rows else None


def first_days(lake: Lake, publication: Publication) -> dict[str, date]:
    """The first day with use of each account that has any."""
    rows = lake.rows(
        "select account_id, first_usage_date from marts.main.rpt_account"
        " where first_usage_date is not null",
        {},
        publication=publication,
    )
    return dict(rows)


_USED = """
with ask as (
    select unnest($numbers) as number, unnest($accounts) as account_id, unnest($scopes) as scope,
        unnest($parts) as part, unnest($firsts) as first_date, unnest($untils) as until_date
),
daily as ({scopes})
select ask.number, sum(credits), sum(usd), sum(unrated), sum(unpriced)
from ask inner join daily on daily.account_id = ask.account_id and daily.scope = ask.scope
    and daily.part = ask.part
    and daily.usage_date >= ask.first_date and daily.usage_date < ask.until_date
group by ask.number
"""
_SCOPE = """
    select account_id, '{scope}' as scope, {part} as part, usage_date, sum(credits) as credits,
        sum(provider_cost_usd) as usd, sum(unrated_events) as unrated,
        sum(unpriced_events) as unpriced
    from marts.main.rpt_usage_daily
    where usage_date >= $first and usage_date < $until
    group by all
"""
PARTS = {"account": "''", "agent": "agent_id", "model": "model", "category": "category"}


def used(lake: Lake, publication: Publication, asks: Sequence[Ask]) -> list[Used]:
    """What each budget used in its period, settled, in the order of ``asks``."""
    if not asks:
        return []
    scopes = " union all ".join(
        _SCOPE.format(scope=scope, part=PARTS[scope])
        for scope in sorted({budget.scope for budget, _ in asks})
    )
    rows = lake.rows(
        _USED.replace("{scopes}", scopes),
        {
            "numbers": list(range(len(asks))),
            "accounts": [budget.account_id for budget, _ in asks],
            "scopes": [budget.scope for budget, _ in asks],
            "parts": [budget.part or "" for budget, _ in asks],
            "firsts": [period.first for _, period in asks],
            "untils": [period.until for _, period in asks],
            "first": min(period.first for _, period in asks),
            "until": max(period.until for _, period in asks),
        },
        publication=publication,
    )
    found = {number: sums for number, *sums in rows}
    answers = []
    for number, (budget, _) in enumerate(asks):
        credits, usd, unrated, unpriced = found.get(number, (0, 0, 0, 0))
        is_credits = budget.unit == "credits"
        amount = credits if is_credits else usd
        answers.append(Used(Decimal(amount or 0), int((unrated if is_credits else unpriced) or 0)))
    return answers


def projected(lake: Lake, publication: Publication) -> dict[tuple[Any, ...], Decimal]:
    """Projections of running months by (account, scope, part, unit, month), as far as there are.

    Whatever is not in here goes on at its run rate.
    """
    found: dict[tuple[Any, ...], Decimal] = {}
    for account, scope, part, month, credits, usd in lake.rows(
        "select account_id, scope, part, month, projected_credits, projected_cost_usd"
        " from marts.main.rpt_insights_projection",
        {},
        publication=publication,
    ):
        for unit, amount in (("credits", credits), ("usd", usd)):
            if amount is not None:
                found[account, scope, part, unit, month] = amount
    return found


def balances(lake: Lake, publication: Publication) -> dict[str, Balance]:
    """The settled balance of every account."""
    rows = lake.rows(
        "select account_id, balance_credits, granted_credits, runway_days"
        " from marts.main.rpt_credits_balance",
        {},
        publication=publication,
    )
    return {account: Balance(*values) for account, *values in rows}


def incidents(lake: Lake, publication: Publication, since: date) -> list[Incident]:
    """Unexpected incidents that began since a day."""
    rows = lake.rows(
        f"select {', '.join(COLUMNS)} from marts.main.rpt_insights_incident"
        " where first_date >= $since and not is_expected order by account_id, first_date",
        {"since": since},
        publication=publication,
    )
    return [Incident(*row) for row in rows]


def daily(
    lake: Lake, publication: Publication, ask: Ask
) -> tuple[list[tuple[date, Decimal]], list[tuple[str, str, Decimal, Decimal]]]:
    """For a message: use by day, and (agent or model, its name, use, use before).

    Before are as many days of the period before as have use in this one.
    """
    budget, period = ask
    column = "credits" if budget.unit == "credits" else "coalesce(provider_cost_usd, 0)"
    part = None if budget.part is None else PARTS[budget.scope]
    where = f"account_id = $account_id{f' and {part} = $part' if part else ''}"
    before = period.first - (period.until - period.first)
    if period.is_month:
        before = (period.first - _DAY).replace(day=1)
    parameters = {
        "account_id": budget.account_id,
        "first": period.first,
        "until": period.until,
        **({"part": budget.part} if part else {}),
    }
    days = lake.rows(
        f"select usage_date, sum({column}) from marts.main.rpt_usage_daily where {where}"
        " and usage_date >= $first and usage_date < $until group by 1 order by 1",
        parameters,
        publication=publication,
    )
    passed = days[-1][0] - period.first if days else timedelta(0)
    drivers = []
    for kind, name in (("agent", "agent_id"), ("model", "model")):
        drivers += lake.rows(
            f"select '{kind}', {name},"
            f" coalesce(sum({column}) filter (where usage_date >= $first), 0) as now,"
            f" coalesce(sum({column}) filter (where usage_date <= $same), 0) as before"
            f" from marts.main.rpt_usage_daily where {where} and usage_date >= $before"
            f" and usage_date < $until and {name} is not null"
            " group by 2 having now > 0 order by now - before desc, 2 limit 3",
            {**parameters, "before": before, "same": min(before + passed, period.first - _DAY)},
            publication=publication,
        )
    return [(day, Decimal(v)) for day, v in days], [
        (kind, name, Decimal(now), Decimal(then)) for kind, name, now, then in drivers
    ]
