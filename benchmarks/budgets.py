"""Judging 10,000 budgets ÷ one aggregation over the daily facts that they are judged on.

``python -m benchmarks.budgets``: 2,000 accounts of 10 agents, 90 days; five budgets an account, of
every scope. Both sides run in the same engine on the same table, three times; medians.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from statistics import median
from typing import Any

import duckdb

from billing.accounts import Account
from billing.alerts.running import judge
from billing.budgets.budget import Budget, make_budget
from billing.incidents import COLUMNS
from billing.terms import Term
from warehouse.publication import Publication

ACCOUNTS, AGENTS, DAYS = 2_000, 10, 90
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

_TYPED = ("first_date", "is_expected")
_TABLES = f"""
attach ':memory:' as marts;
create table marts.main.rpt_usage_daily as
select 'a' || a as account_id, 'g' || g as agent_id, 'm' || (g % 4) as model,
    case g % 3 when 0 then 'llm' when 1 then 'sql' else 'image' end as category,
    cast(date '2026-11-24' - cast(d as integer) as date) as usage_date,
    cast(hash(a, g, d) % 1000 / 100 as decimal(38, 9)) as credits,
    cast(0.1 as decimal(38, 12)) as provider_cost_usd,
    cast(0 as bigint) as unrated_events, cast(0 as bigint) as unpriced_events
from range({ACCOUNTS}) as t(a), range({AGENTS}) as u(g), range(0, {DAYS}) as s(d);
create table marts.main.rpt_freshness as select timestamp '2026-11-24 11:00:00' as as_of;
create table marts.main.rpt_account as
select 'a' || a as account_id, date '2026-08-01' as first_usage_date from range({ACCOUNTS}) as t(a);
create table marts.main.rpt_credits_balance as
select 'a' as account_id, 0 as balance_credits, 0 as granted_credits, 0 as runway_days limit 0;
create table marts.main.rpt_insights_projection as
select account_id, scope, part, date '2026-11-01' as month, sum(credits) * 2 as projected_credits,
    sum(provider_cost_usd) * 2 as projected_cost_usd
from (
    select account_id, 'account' as scope, '' as part, credits, provider_cost_usd
    from marts.main.rpt_usage_daily
    union all by name
    select account_id, 'agent' as scope, agent_id as part, credits, provider_cost_usd
    from marts.main.rpt_usage_daily
)
group by all;
create table marts.main.rpt_insights_incident as
select {", ".join(f"null as {name}" for name in COLUMNS if name not in _TYPED)},
    date '2026-11-01' as first_date, false as is_expected
limit 0;
"""


class Tables:
    """The reporting models as tables of one engine."""

    def __init__(self) -> None:
        """Fill them."""
        self.connection = duckdb.connect(":memory:")
        self.connection.execute(_TABLES)

    def publication(self) -> Publication:
        """One for all."""
        return Publication(1, NOW, 1, 1, 1)

    def has_table(self, table: str) -> bool:
        """All that are asked for."""
        return True

    def head_rows(self, lake: str, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(sql).fetchall()

    def rows(self, sql: str, parameters: Any, *, publication: Any = None) -> list[tuple[Any, ...]]:
        """Rows of a query with parameters."""
        return self.connection.execute(sql, dict(parameters) or None).fetchall()


def budgets() -> list[Budget]:
    """Five budgets an account: itself, two agents, a model, a category."""
    parts = [
        ("account", None),
        ("agent", "g1"),
        ("agent", "g2"),
        ("model", "m1"),
        ("category", "llm"),
    ]
    return [
        make_budget(f"a{number}", name=f"b{n}", limit="900", scope=scope, part=part)
        for number in range(ACCOUNTS)
        for n, (scope, part) in enumerate(parts)
    ]


def seconds(work: Callable[[], object]) -> float:
    """Median of three runs after one that warms up."""
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return median(times[1:])


def main() -> None:
    """Measure and print."""
    lake, made = Tables(), budgets()
    term = Term(date(1970, 1, 1), "A", "Europe/Berlin", "EUR", None, "prepaid")
    accounts = {f"a{n}": Account(f"a{n}", NOW, "bench", term, ()) for n in range(ACCOUNTS)}
    found = judge(lake, lake.publication(), accounts, made, {}, NOW)
    assert len(found) == 4 * len(made)
    judged = seconds(lambda: judge(lake, lake.publication(), accounts, made, {}, NOW))
    bare = seconds(
        lambda: lake.connection.execute(
            "create or replace temp table bare as select account_id, usage_date, sum(credits),"
            " sum(provider_cost_usd) from marts.main.rpt_usage_daily group by all"
        )
    )
    print(
        f"{len(made):,} budgets on {ACCOUNTS * AGENTS * DAYS:,} daily rows: {judged:.2f} s, "
        f"one aggregation {bare:.2f} s, ratio {judged / bare:.2f}"
    )


if __name__ == "__main__":
    main()
