"""Spikes: what is found of planted ones, beside two plain rules, and what looking for them costs.

``python -m benchmarks.spikes`` (or ``make bench``). README.md says what is compared.
"""

import csv
import gzip
import json
import math
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.table import Table

from benchmarks.credits import run_dbt
from benchmarks.measuring import machine, report_console
from ingest.tables import ensure_tables
from warehouse.lake import Connection, reading_head, writing
from warehouse.settings import ROOT, Settings, load_settings

AIM = 5.0
"""Time of the anomalies of all scopes ÷ time of one plain aggregation, at most."""

NN5 = ROOT.parent / "shared" / "data" / "nn5-daily" / "nn5_daily_001_080.csv.gz"
"""80 real daily series of two years with a strong week; generated ones without it."""

MODELS = (
    "int_spike_months_touched",
    "int_usage_days_expected",
    "fct_usage_anomaly",
    "fct_incident_day",
    "fct_incident",
)
"""The models whose time counts."""

WARM_UP = 126
"""Days of a series in which nothing is planted and nothing is counted."""

PLANTED = 0.02
"""Share of days that are raised."""

CALM = 0.25
"""A day is known to be calm within this share of its weekday's level, the weeks after included."""

OURS, Z_SCORE, ROBUST = "Meterhouse", "z-score of 3", "weekday robust z of 3"

_FACTS = """
create or replace table marts.main.fct_usage_log_daily (
    account_id varchar, month date, usage_date date, agent_id varchar, category varchar,
    model varchar, status varchar, events bigint, unrated_events bigint, credits decimal(38, 9),
    total_tokens bigint, execution_ms decimal(38, 3), provider_cost_usd decimal(38, 12),
    unpriced_events bigint
);
alter table marts.main.fct_usage_log_daily set partitioned by (month);
insert into marts.main.fct_usage_log_daily
select account_id, cast(date_trunc('month', usage_date) as date), usage_date, agent_id, category,
    model, 'ok', 10, 0, credits, 10000, 10000, null, 0
from given
order by 2, 1;
create or replace table marts.main.fct_usage_account_daily (
    account_id varchar, month date, usage_date date, events bigint, credits decimal(38, 9)
);
alter table marts.main.fct_usage_account_daily set partitioned by (month);
insert into marts.main.fct_usage_account_daily
select account_id, month, usage_date, cast(sum(events) as bigint), sum(credits)
from marts.main.fct_usage_log_daily group by all
order by 2, 1;
create or replace table marts.main.dim_agent as
select account_id, agent_id, cast(min(usage_date) as timestamp) as first_used_at,
    cast(max(usage_date) as timestamp) as last_used_at
from marts.main.fct_usage_log_daily group by all;
create or replace table marts.main.int_usage_touched_days as
select distinct usage_date as usage_date_utc from marts.main.fct_usage_account_daily;
"""

# Lognormal noise of 25 % around a week, a level for each agent, now and then a day five times that.
_MANY = """
create or replace temp view given as
select
    'account-' || lpad((series // $agents)::varchar, 6, '0') as account_id,
    'agent-' || (series % $agents) as agent_id,
    ['llm', 'sql', 'image'][series % 3 + 1] as category,
    ['gpt-5', 'opus', 'sonnet', 'flash'][series % 4 + 1] as model,
    date '2025-01-06' + day::integer as usage_date,
    cast(round(
        (5 + series % 7 * 3) * (case when day % 7 >= 5 then 0.4 else 1 end)
        * exp(0.25 * sqrt(-2 * ln((hash(series, day) % 1000003 + 1) / 1000004.0))
            * cos(2 * pi() * (hash(day, series) % 1000003) / 1000003.0))
        * (case when hash(series, day, 'spike') % 500 = 0 then 5 else 1 end), 6)
        as decimal(18, 9)) as credits
from range($accounts * $agents) as many (series)
cross join range($days) as days (day)
"""

PLAIN = """
create or replace temp table plain as
select account_id, agent_id, usage_date, sum(credits) as credits
from marts.main.fct_usage_log_daily group by account_id, agent_id, usage_date
"""


@dataclass(frozen=True)
class Series:
    """A daily series, what was planted in it and which days are known to be calm."""

    name: str
    first: date
    values: tuple[float, ...]
    planted: Mapping[int, float]
    """Day: times its weekday's level."""
    calm: frozenset[int]

    def day(self, place: int) -> date:
        """The date of a place."""
        return self.first + timedelta(days=place)


@dataclass(frozen=True)
class Score:
    """How a rule did; ``all_precision`` counts every day that was not planted as a false alarm."""

    rule: str
    precision: float
    recall: float
    f1: float
    small_recall: float
    all_precision: float
    all_f1: float


@dataclass(frozen=True)
class Cost:
    """What the models took, and one aggregation of the same rows."""

    accounts: int
    agents: int
    days: int
    rows: int
    plain_seconds: float
    seconds: Mapping[str, float]
    anomalies: int
    incidents: int

    @property
    def ratio(self) -> float:
        """The models' time in aggregations."""
        return sum(self.seconds.values()) / self.plain_seconds


@click.command()
@click.option("--seeds", default=3, show_default=True, help="Times that spikes are planted anew.")
@click.option("--accounts", default=2_000, show_default=True, help="Accounts of the cost.")
@click.option("--agents", default=10, show_default=True, help="Agents an account.")
@click.option("--days", default=400, show_default=True, help="Days of usage.")
@click.option("--without-cost", is_flag=True, help="Only look for planted spikes.")
@click.option("--strict", is_flag=True, help="End with status 1 when an aim is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def main(
    seeds: int,
    accounts: int,
    agents: int,
    days: int,
    without_cost: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Look for planted spikes with the dbt models and two plain rules; time all scopes."""
    given = load_settings()
    base = given.home / "benchmarks"
    base.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="spikes-", dir=base))
    settings = Settings(home=home, memory=given.memory, threads=given.threads)
    at = machine()
    try:
        _progress("looking for planted spikes")
        scores = compare(settings, planted_series(seeds))
        cost = None
        if not without_cost:
            _progress("writing the rows of the cost")
            cost = measure(settings, accounts, agents, days)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    outcome = {
        "machine": at,
        "series": "NN5" if NN5.exists() else "generated",
        "scores": [asdict(score) for score in scores],
        "cost": asdict(cost) | {"ratio": cost.ratio} if cost else None,
    }
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        _show(scores, cost, outcome)
    if strict and not (is_better(scores) and (cost is None or cost.ratio <= AIM)):
        sys.exit(1)


# --- planted spikes -------------------------------------------------------------------------


def planted_series(seeds: int) -> list[Series]:
    """Every series once for each seed, raised on some days to 1.5 to 5 times their weekday."""
    found = []
    for seed in range(1, seeds + 1):
        for name, first, values in base_series():
            found.append(plant(f"{name}-{seed}", first, values, random.Random(f"{seed} {name}")))
    return found


def base_series() -> list[tuple[str, date, list[float]]]:
    """The series before anything is planted: NN5, or generated ones where that is absent."""
    if not NN5.exists():
        return [(f"generated-{n:03}", date(1996, 3, 18), generated(n)) for n in range(40)]
    rows: dict[str, list[tuple[date, float]]] = {}
    with gzip.open(NN5, "rt") as file:
        for row in csv.DictReader(file):
            day = date.fromisoformat(row["date"])
            rows.setdefault(row["series"], []).append((day, float(row["value"] or 0)))
    return [(name, days[0][0], [value for _, value in days]) for name, days in rows.items()]


def generated(number: int, days: int = 791) -> list[float]:
    """A series with a week, a slowly moving level and noise; some days without any usage."""
    luck = random.Random(number)
    week = [luck.uniform(0.5, 1.5) for _ in range(7)]
    level, values = luck.uniform(10, 40), []
    for day in range(days):
        level *= math.exp(luck.gauss(0, 0.01))
        used = luck.random() > 0.02
        values.append(level * week[day % 7] * math.exp(luck.gauss(0, 0.25)) if used else 0.0)
    return values


def plant(name: str, first: date, values: Sequence[float], luck: random.Random) -> Series:
    """Raise days by what 0.5 to 4 times the weekday's level is; say which others are calm."""
    raised, planted, calm = list(values), {}, set()
    for place in range(WARM_UP, len(values)):
        around = [
            values[place + 7 * weeks]
            for weeks in range(-8, 9)
            if weeks and 0 <= place + 7 * weeks < len(values)
        ]
        level = statistics.median(around)
        if level > 0 and luck.random() < PLANTED:
            planted[place] = luck.uniform(1.5, 5)
            raised[place] += (planted[place] - 1) * level
        elif abs(values[place] - level) <= CALM * level:
            calm.add(place)
    return Series(name, first, tuple(raised), planted, frozenset(calm))


def compare(settings: Settings, series: Sequence[Series]) -> list[Score]:
    """What the dbt models find beside two rules that look at the same eight weeks."""
    ours = find_with_dbt(settings, series)
    return [
        score(OURS, series, lambda each: ours.get(each.name, frozenset())),
        score(Z_SCORE, series, z_score),
        score(ROBUST, series, robust_z),
    ]


def find_with_dbt(settings: Settings, series: Sequence[Series]) -> dict[str, frozenset[int]]:
    """The days that ``fct_usage_anomaly`` names, each series being an account."""
    days = [
        (each.name, each.day(place), value)
        for each in series
        for place, value in enumerate(each.values)
    ]
    given = pa.table(
        {
            "account_id": [name for name, _, _ in days],
            "usage_date": [day for _, day, _ in days],
            "value": [value for _, _, value in days],
        }
    )
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
    with writing(settings, "marts") as connection:
        connection.register("values_given", given)
        connection.execute(
            "create or replace temp view given as select account_id, 'agent' as agent_id,"
            " 'llm' as category, 'gpt-5' as model, usage_date,"
            " cast(round(value, 6) as decimal(18, 9)) as credits from values_given where value > 0"
        )
        _write(connection)
    run_dbt(settings, 1, "--select", "dim_date", *MODELS)
    found: dict[str, set[int]] = {}
    first = {each.name: each.first for each in series}
    for name, day in _rows(
        settings,
        "select account_id, usage_date from marts.main.fct_usage_anomaly where scope = 'account'",
    ):
        found.setdefault(name, set()).add((day - first[name]).days)
    return {name: frozenset(places) for name, places in found.items()}


def z_score(series: Series, limit: float = 3.0) -> frozenset[int]:
    """Days above the mean of the eight weeks before by ``limit`` standard deviations."""
    found = set()
    for place in range(56, len(series.values)):
        before = series.values[place - 56 : place]
        if series.values[place] > statistics.fmean(before) + limit * statistics.stdev(before):
            found.add(place)
    return frozenset(found)


def robust_z(series: Series, limit: float = 3.0) -> frozenset[int]:
    """Days above the median of their weekday by ``limit`` scaled median absolute deviations."""
    found = set()
    for place in range(56, len(series.values)):
        before = series.values[place - 56 : place : 7]
        middle = statistics.median(before)
        spread = 1.4826 * statistics.median(abs(value - middle) for value in before)
        if series.values[place] > middle + limit * spread:
            found.add(place)
    return frozenset(found)


def score(rule: str, series: Sequence[Series], find: Callable[[Series], frozenset[int]]) -> Score:
    """Planted days are the ones to find; calm ones, and then all others, are those to leave."""
    hits = planted = small_hits = small = false_calm = false_all = 0
    for each in series:
        found = {place for place in find(each) if place >= WARM_UP}
        hits += len(found & each.planted.keys())
        planted += len(each.planted)
        little = {place for place, times in each.planted.items() if times < 2}
        small_hits += len(found & little)
        small += len(little)
        false_calm += len(found & each.calm)
        false_all += len(found - each.planted.keys())
    recall = hits / planted
    precision, all_precision = hits / max(1, hits + false_calm), hits / max(1, hits + false_all)
    return Score(
        rule,
        precision,
        recall,
        _f1(precision, recall),
        small_hits / max(1, small),
        all_precision,
        _f1(all_precision, recall),
    )


def is_better(scores: Sequence[Score]) -> bool:
    """Whether the first has a higher F1 than the others at no lower precision, on calm days."""
    ours, *others = scores
    return all(ours.f1 > other.f1 and ours.precision >= other.precision for other in others)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


# --- the cost -------------------------------------------------------------------------------


def measure(settings: Settings, accounts: int, agents: int, days: int) -> Cost:
    """Build the spikes of all scopes of so many accounts, after the best of three aggregations."""
    with writing(settings, "marts") as connection:
        connection.execute(
            _MANY.replace("$accounts", str(accounts))
            .replace("$agents", str(agents))
            .replace("$days", str(days))
        )
        _write(connection)
        for name in MODELS:
            connection.execute(f"drop table if exists marts.main.{name}")
    _progress("building anomalies and incidents")
    seconds = run_dbt(settings, 1, "--select", "dim_date", *MODELS)
    connection = reading_head(settings)
    try:
        plain = min(_timed(connection, PLAIN) for _ in range(3))
    finally:
        connection.close()
    counts = _rows(
        settings,
        "select (select count(*) from marts.main.fct_usage_log_daily),"
        " (select count(*) from marts.main.fct_usage_anomaly),"
        " (select count(*) from marts.main.fct_incident)",
    )
    rows, anomalies, incidents = counts[0]
    taken = {name: seconds[name] for name in MODELS}
    return Cost(accounts, agents, days, rows, plain, taken, anomalies, incidents)


def _write(connection: Connection) -> None:
    for statement in _FACTS.split(";"):
        if statement.strip():
            connection.execute(statement)


def _timed(connection: Connection, sql: str) -> float:
    start = time.perf_counter()
    connection.execute(sql)
    return time.perf_counter() - start


def _rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    connection = reading_head(settings)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _show(scores: Sequence[Score], cost: Cost | None, outcome: Mapping[str, Any]) -> None:
    console = report_console()
    at = outcome["machine"]
    console.print(
        f"{at['cores']} cores ({at['processor']}), {at['memory_gib']} GiB, load average "
        f"{at['load_average']} before; {at['system']}, Python {at['python']}, DuckDB {at['duckdb']}"
    )
    table = Table(header_style="bold", title=f"planted in {outcome['series']} series")
    table.add_column("rule")
    for name in ("precision", "recall", "F1", "recall below 2×", "precision, all", "F1, all"):
        table.add_column(name, justify="right")
    for found in scores:
        table.add_row(
            found.rule,
            f"{found.precision:.3f}",
            f"{found.recall:.3f}",
            f"{found.f1:.3f}",
            f"{found.small_recall:.2f}",
            f"{found.all_precision:.3f}",
            f"{found.all_f1:.3f}",
        )
    console.print(table)
    if cost is not None:
        for name, seconds in cost.seconds.items():
            console.print(f"{name}: {seconds:.1f} s")
        console.print(
            f"{cost.accounts:,} accounts × {cost.agents} agents × {cost.days} days: "
            f"{cost.anomalies:,} anomalies, {cost.incidents:,} incidents in "
            f"{sum(cost.seconds.values()):.1f} s; one aggregation {cost.plain_seconds:.1f} s; "
            f"ratio {cost.ratio:.1f} (aim {AIM:.0f})"
        )


def _progress(text: str) -> None:
    click.echo(f"{text} …", err=True)


if __name__ == "__main__":
    main()
