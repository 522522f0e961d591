"""Projections of real daily series beside the run rate, AutoTheta and AutoETS; and what they cost.

``python -m benchmarks.projection`` (or ``make bench``). README.md says what is compared.
"""

import csv
import gzip
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks.measuring import machine, report_console
from ingest.tables import ensure_tables
from warehouse.lake import Connection, current_snapshot, reading_head, writing
from warehouse.publication import publish
from warehouse.settings import ROOT, Settings, load_settings

NN5 = ROOT.parent / "shared" / "data" / "nn5-daily"
YEARS_LATER = 28
"""What dates are moved by: weekdays and leap years meet again, and the calendar holds them."""

MONTHS = 10
ELAPSED = (3, 10, 20)
CONTEST_DAYS = 123
"""Days that AutoTheta and AutoETS look at, some four months: with more they take hours."""

RUN_RATE_BOUNDS = {3: 0.40, 10: 0.63}
CONTEST_BOUND = 1.0
COVERAGE = (0.76, 0.84)
COST_AIM = 10.0
"""Time of all projections and anomalies ÷ one plain aggregation of the same rows, at most."""

PROJECTION = (
    "int_projection_accounts_touched",
    "int_projection_accounts_dated",
    "int_projection_days_levelled",
    "int_projection_probed",
    "int_projection_replayed",
    "int_projection_parts_levelled",
    "fct_projection_daily",
    "fct_projection",
    "fct_projection_backtest",
    "fct_projection_run_out",
)
"""The models of projections, of all levels and with the backtest."""

ANOMALIES = (
    "int_spike_months_touched",
    "int_usage_days_expected",
    "fct_usage_anomaly",
    "fct_incident_day",
    "fct_incident",
)
"""The models of anomalies, of all levels and gathered into explained incidents."""

MEASURED = PROJECTION + ANOMALIES
"""The models whose time counts."""

SUM = """
create or replace temp table total as
select account_id, agent_id, usage_date, sum(credits) as credits
from marts.main.fct_usage group by account_id, agent_id, usage_date
"""

_EVENTS = """
insert into raw.main.usage_event
select 1, i, 'bench', 'e' || i, 0, false, hash('bench', 'e' || i),
    'account-' || lpad(account::varchar, 6, '0'), 'agent-' || agent,
    ['llm', 'sql', 'text', 'document', 'image'][agent % 5 + 1],
    ['gpt-4o', 'gpt-5-mini', 'claude-sonnet-4-5', 'gemini-2.5-pro'][agent % 4 + 1],
    cast(day as timestamp) + interval 12 hour, day, 1200,
    cast((0.5 + hash(account, agent) % 1000 / 1000.0) * (0.7 + hash(i, 'credits') % 600 / 1000.0)
        * (case when isodow(day) >= 6 then 4 else 10 end) as decimal(18, 9)),
    900, 0, 0, 120, 'ok', null, null, null
from (
    select
        $first_number * $accounts * $agents + n as i,
        n // $agents % $accounts as account,
        n % $agents as agent,
        $first + cast(n // ($accounts * $agents) as integer) as day
    from range($days * $accounts * $agents) as numbers (n)
)
"""


@dataclass(frozen=True)
class Size:
    """How much is projected for the cost: an event an account, agent and day."""

    accounts: int
    agents: int
    days: int


@dataclass(frozen=True)
class Series:
    """Daily series by name, each without a gap from ``first`` on."""

    source: str
    first: date
    values: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Accuracy:
    """After so many days of a month: mean error of its total, by contestant; coverage of ours."""

    elapsed_days: int
    months: int
    errors: Mapping[str, float]
    coverage: float


@click.command()
@click.option("--accounts", default=2_000, show_default=True, help="Accounts, for the cost.")
@click.option("--agents", default=10, show_default=True, help="Agents an account.")
@click.option("--days", default=400, show_default=True, help="Days of usage.")
@click.option("--without-cost", is_flag=True, help="Measure the errors only.")
@click.option("--without-contest", is_flag=True, help="Leave AutoTheta and AutoETS out.")
@click.option("--strict", is_flag=True, help="End with status 1 when a bound is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def main(
    accounts: int,
    agents: int,
    days: int,
    without_cost: bool,
    without_contest: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Project ten past months of daily series, then all levels of many accounts."""
    series = real_series(NN5) if NN5.is_dir() else generated_series()
    with own_home("projection-") as settings:
        found = measure_accuracy(settings, series, with_contest=not without_contest)
    cost: dict[str, Any] = {}
    if not without_cost:
        size = Size(accounts, agents, days)
        with own_home("projection-cost-") as settings:
            cost = asdict(size) | measure_cost(settings, size)
    outcome = {
        "series": {"source": series.source, "count": len(series.values)},
        "machine": machine(),
        "accuracy": [asdict(each) for each in found],
        "missed": missed(found),
        "cost": cost,
    }
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        _show(found, outcome)
    if strict and outcome["missed"]:
        sys.exit(1)


@contextmanager
def own_home(prefix: str) -> Iterator[Settings]:
    """The settings of a new home, which is removed at the end."""
    given = load_settings()
    base = given.home / "benchmarks"
    base.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    try:
        yield Settings(home=home, memory=given.memory, threads=given.threads)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def real_series(folder: Path) -> Series:
    """NN5: days without a value have the median of their weekday, as is usual with this data."""
    found: dict[str, dict[date, float | None]] = {}
    for file in sorted(folder.glob("*.csv.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                day = date.fromisoformat(row["date"])
                day = day.replace(year=day.year + YEARS_LATER)
                found.setdefault(row["series"], {})[day] = (
                    float(row["value"]) if row["value"] else None
                )
    return Series(
        "NN5",
        min(next(iter(found.values()))),
        {name: _filled(days) for name, days in found.items()},
    )


def generated_series(count: int = 80, days: int = 791) -> Series:
    """Series with a week, a year, a wandering level and noise, for machines without real ones."""
    first = date(2024, 3, 18)
    values = {}
    for number in range(count):
        level, series = 20.0, []
        for day in range(days):
            level *= math.exp(0.02 * _noise(number, day, "level"))
            week = (0.7, 0.8, 0.9, 1.0, 1.6, 1.3, 0.7)[(first + timedelta(day)).weekday()]
            year = 1 + 0.15 * math.sin(2 * math.pi * day / 365.25 + number)
            series.append(level * week * year * math.exp(0.2 * _noise(number, day, "day")))
        values[f"generated-{number:03}"] = tuple(series)
    return Series("generated", first, values)


def measure_accuracy(
    settings: Settings, series: Series, *, with_contest: bool = True
) -> list[Accuracy]:
    """Build the project's own backtest of ``series``, each an account, and compare the errors."""
    _progress(f"projecting {len(series.values)} series ({series.source})")
    fill_series(settings, series)
    _dbt(settings, "--select", "+fct_projection_backtest", "seed")
    with _head(settings) as connection:
        rows = connection.execute(
            "select account_id, month, elapsed_days, cast(actual_credits as double),"
            " cast(projected_credits as double), cast(run_rate_credits as double), is_inside"
            " from marts.main.fct_projection_backtest"
            " where month in (select distinct month from marts.main.fct_projection_backtest"
            " order by month desc limit $months) order by all",
            {"months": MONTHS},
        ).fetchall()
    found = []
    for elapsed in ELAPSED:
        chosen = [row for row in rows if row[2] == elapsed]
        errors = {
            "Meterhouse": _mean(abs(row[4] - row[3]) / row[3] for row in chosen),
            "run rate": _mean(abs(row[5] - row[3]) / row[3] for row in chosen),
        }
        if with_contest:
            errors |= contest(series, elapsed, [(row[0], row[1]) for row in chosen])
        found.append(
            Accuracy(
                elapsed,
                len({row[1] for row in chosen}),
                errors,
                _mean(row[6] for row in chosen),
            )
        )
    return found


def contest(series: Series, elapsed: int, chosen: Sequence[tuple[str, date]]) -> dict[str, float]:
    """Mean error of AutoTheta and AutoETS (season of 7 days) on the same months."""
    os.environ.setdefault("NIXTLA_ID_AS_COL", "1")
    import pandas as pd
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS, AutoTheta

    names = {"AutoTheta": AutoTheta, "AutoETS": AutoETS}
    errors: dict[str, list[float]] = {name: [] for name in names}
    for month in sorted({month for _, month in chosen}):
        _progress(f"AutoTheta and AutoETS: {month:%B %Y}, day {elapsed}")
        start = (month - series.first).days
        end = start + ((month + timedelta(31)).replace(day=1) - month).days
        origin = start + elapsed
        accounts = [account for account, of in chosen if of == month]
        history = range(max(0, origin - CONTEST_DAYS), origin)
        frame = pd.DataFrame(
            [
                (account, series.first + timedelta(day), series.values[account][day])
                for account in accounts
                for day in history
            ],
            columns=["unique_id", "ds", "y"],
        )
        frame["ds"] = pd.to_datetime(frame["ds"])
        models = [model(season_length=7, alias=name) for name, model in names.items()]
        made = StatsForecast(models=models, freq="D", n_jobs=1).forecast(df=frame, h=end - origin)
        for account, rest in made.groupby("unique_id"):
            days = series.values[str(account)]
            actual, known = sum(days[start:end]), sum(days[start:origin])
            for name in names:
                errors[name].append(abs(known + float(rest[name].sum()) - actual) / actual)
    return {name: _mean(found) for name, found in errors.items()}


def missed(found: Sequence[Accuracy]) -> list[str]:
    """The bounds that are not kept, in words."""
    said = []
    for each in found:
        ratio = each.errors["Meterhouse"] / each.errors["run rate"]
        bound = RUN_RATE_BOUNDS.get(each.elapsed_days)
        if bound is not None and ratio > bound:
            said.append(f"day {each.elapsed_days}: {ratio:.2f} of the run rate's error > {bound}")
        if not COVERAGE[0] <= each.coverage <= COVERAGE[1]:
            said.append(f"day {each.elapsed_days}: coverage {each.coverage:.1%}")
    for name, ratio in contest_ratios(found).items():
        if ratio > CONTEST_BOUND:
            said.append(f"mean error ÷ that of {name}: {ratio:.2f} > {CONTEST_BOUND}")
    return said


def contest_ratios(found: Sequence[Accuracy]) -> dict[str, float]:
    """Our error, the mean over the days, ÷ that of each other contestant."""
    return {
        name: _mean(each.errors["Meterhouse"] for each in found)
        / _mean(each.errors[name] for each in found)
        for name in found[0].errors
        if name not in ("Meterhouse", "run rate")
    }


def measure_cost(settings: Settings, size: Size) -> dict[str, Any]:
    """Build usage facts (not measured), then projections and anomalies of all levels, twice.

    The second time one account has new usage and the day is the same.
    """
    _progress("writing the raw lake")
    fill_accounts(settings, size)
    _progress("building usage and lots")
    before = (
        "int_projection_accounts_touched",
        "fct_credit_lot",
        "fct_usage_log_daily",
        "fct_usage_account_daily",
        "dim_agent",
    )
    _dbt(
        settings,
        "--select",
        *(f"+{name}" for name in before),
        "fct_usage_monthly",
        "dim_date",
        "seed",
    )
    _progress("projections and anomalies of all accounts")
    everything = _dbt(settings, "--select", *MEASURED)
    with _head(settings) as connection:
        best = min(_timed(connection, SUM) for _ in range(3))
        parts = connection.execute("select count(*) from marts.main.fct_projection").fetchone()
    assert parts is not None
    _publish(settings, 1)
    with writing(settings, "raw") as connection:
        day = FIRST_DAY + timedelta(size.days)
        _note_load(connection, 2, day, minute=1)
        connection.execute(
            "insert into raw.main.usage_event select 2, 1, 'bench', 'new', 0, false,"
            " hash('bench', 'new'), 'account-000007', 'agent-1', 'llm', 'gpt-4o',"
            f" timestamp '{day} 12:00', date '{day}', 1200, 0.5, 900, 0, 0, 120, 'ok',"
            " null, null, null"
        )
    _progress("building all of it again after one event")
    one = _dbt(settings, "--select", *(f"+{name}" for name in MEASURED), load_id=2)
    return {
        "sum_seconds": best,
        "projections": parts[0],
        "seconds": everything,
        "total_seconds": sum(everything.values()),
        "ratio": sum(everything.values()) / best,
        "one_account_seconds": sum(one.values()),
    }


FIRST_DAY = date(2025, 11, 1)


def fill_series(settings: Settings, series: Series) -> None:
    """Write each series as an account with one event a day, as the loader would leave it."""
    last = series.first + timedelta(len(next(iter(series.values.values()))))
    rows = [
        (number, name, series.first + timedelta(day), value)
        for number, (name, values) in enumerate(series.values.items())
        for day, value in enumerate(values)
    ]
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["number", "account_id", "day", "credits"])  # noqa: F841
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        _note_load(connection, 1, last)
        connection.execute(
            "insert into raw.main.usage_event select 1, row_number() over (), 'bench',"
            " account_id || day, 0, false, hash(account_id || day), account_id, 'agent', 'llm',"
            " 'gpt-4o', cast(day as timestamp) + interval 12 hour, cast(day as date), 1000,"
            " cast(credits as decimal(18, 9)), 900, 0, 0, 120, 'ok', null, null, null from frame"
        )
        connection.execute(
            "insert into raw.main.account_term select 1, row_number() over (), account_id,"
            " date '2020-01-01', account_id, 'UTC', 'USD', null, 'prepaid', null,"
            " timestamp '2020-01-01' from (select distinct account_id from frame)"
        )


def fill_accounts(settings: Settings, size: Size) -> None:
    """Write the events of many accounts and agents, and a lot for each account."""
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        _note_load(connection, 1, FIRST_DAY + timedelta(size.days))
        for first in range(0, size.days, 20):
            connection.execute(
                _EVENTS,
                {
                    "first": FIRST_DAY + timedelta(first),
                    "first_number": first,
                    "days": min(20, size.days - first),
                    "accounts": size.accounts,
                    "agents": size.agents,
                },
            )
        connection.execute(
            "insert into raw.main.account_term select 1, i + 1, 'account-' ||"
            " lpad(i::varchar, 6, '0'), date '2020-01-01', 'Account ' || i,"
            " ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'][i % 4 + 1], 'USD', null,"
            f" 'prepaid', null, timestamp '2020-01-01' from range({size.accounts}) as accounts (i)"
        )
        connection.execute(
            "insert into raw.main.credit_grant select 1, i + 1, 'lot ' || i, 'account-' ||"
            " lpad(i::varchar, 6, '0'), 'purchased', 8.6 * 1.05 * $days * $agents, 50,"
            f" timestamp '{FIRST_DAY}', null, null, 1000, 'USD', 'bench', timestamp '{FIRST_DAY}'"
            f" from range({size.accounts}) as lots (i)",
            {"days": size.days, "agents": size.agents},
        )


def _filled(days: Mapping[date, float | None]) -> tuple[float, ...]:
    by_weekday: dict[int, list[float]] = {}
    for day, value in days.items():
        if value is not None:
            by_weekday.setdefault(day.weekday(), []).append(value)
    medians = {weekday: statistics.median(values) for weekday, values in by_weekday.items()}
    return tuple(
        medians[day.weekday()] if value is None else value for day, value in sorted(days.items())
    )


def _noise(*of: object) -> float:
    """A number that looks drawn from a normal distribution, always the same of the same."""
    import random

    return random.Random(repr(of)).gauss(0, 1)


def _mean(values: Any) -> float:
    return statistics.fmean(values)


def _note_load(connection: Connection, load_id: int, day: date, minute: int = 0) -> None:
    at = datetime.combine(day, datetime.min.time()) + timedelta(hours=13, minutes=minute)
    connection.execute(
        "insert into raw.main.load select $load_id, 'file', 'bench', 'bench', '', 0, 0, 0, 0, 0, 0,"
        " $at, $at, null",
        {"load_id": load_id, "at": at},
    )


def _dbt(settings: Settings, *selection: str, load_id: int = 1) -> dict[str, float]:
    """Build models, without their tests; returns the seconds that each of MEASURED took."""
    target = settings.home / "target"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "--quiet", "build", *selection,
            "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test",
            "--target-path", str(target),
        ],
        cwd=ROOT,
        env=settings.environment() | {"METERHOUSE_RAW_LOAD_ID": str(load_id)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"dbt failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    results = json.loads((target / "run_results.json").read_text())["results"]
    times = {row["unique_id"].split(".")[-1]: row["execution_time"] for row in results}
    return {name: times[name] for name in MEASURED if name in times}


def _publish(settings: Settings, load_id: int) -> None:
    with _head(settings) as connection:
        raw_snapshot = current_snapshot(connection, "raw")
    with writing(settings, "marts") as connection:
        publish(
            connection,
            marts_snapshot=current_snapshot(connection, "marts"),
            raw_snapshot=raw_snapshot,
            raw_load_id=load_id,
            published_at=datetime.now(UTC),
        )


def _timed(connection: Connection, sql: str) -> float:
    start = time.perf_counter()
    connection.execute(sql)
    return time.perf_counter() - start


@contextmanager
def _head(settings: Settings) -> Iterator[Connection]:
    connection = reading_head(settings)
    try:
        yield connection
    finally:
        connection.close()


def _progress(text: str) -> None:
    if os.isatty(2):
        click.echo(f"… {text}", err=True)


def _show(found: Sequence[Accuracy], outcome: Mapping[str, Any]) -> None:
    console = report_console()
    console.print(json.dumps(outcome["series"]), json.dumps(outcome["machine"]))
    table = Table(header_style="bold")
    names = list(found[0].errors)
    for title in ("after", *(f"{name} %" for name in names), "÷ run rate", "bound", "coverage %"):
        table.add_column(title, justify="left" if title == "after" else "right")
    for each in found:
        bound = RUN_RATE_BOUNDS.get(each.elapsed_days)
        table.add_row(
            f"{each.elapsed_days} days",
            *(f"{100 * each.errors[name]:.2f}" for name in names),
            f"{each.errors['Meterhouse'] / each.errors['run rate']:.3f}",
            f"≤ {bound:.2f}" if bound else "",
            f"{100 * each.coverage:.1f}",
        )
    console.print(table)
    for name, ratio in contest_ratios(found).items():
        console.print(f"mean error ÷ that of {name}: {ratio:.2f} (at most {CONTEST_BOUND:g})")
    for text in outcome["missed"]:
        console.print(f"missed: {text}")
    if cost := outcome["cost"]:
        console.print(
            f"{cost['projections']:,} projections and all anomalies"
            f" of {cost['accounts']:,} accounts ({cost['agents']} agents, {cost['days']} days):"
            f" {cost['total_seconds']:.2f} s,"
            f" one sum {cost['sum_seconds']:.2f} s, ratio {cost['ratio']:.1f}"
            f" (aim ≤ {COST_AIM:g}); after one event {cost['one_account_seconds']:.2f} s"
        )
        slowest = sorted(cost["seconds"].items(), key=lambda pair: -pair[1])
        console.print(", ".join(f"{name} {spent:.2f}" for name, spent in slowest))


if __name__ == "__main__":
    main()
