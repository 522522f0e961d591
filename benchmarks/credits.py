"""The credit ledger beside one sum of credits over the same events.

``python -m benchmarks.credits`` (or ``make bench``). README.md says what is compared.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks.measuring import machine, report_console
from billing.accounts import add_account
from billing.grants import grant
from billing.position import credit_position
from billing.store import open_store
from billing.usage_sums import open_lake
from ingest.tables import ensure_tables
from orchestration.supervisor import supervising
from warehouse.lake import Connection, current_snapshot, reading_head, writing
from warehouse.publication import publish
from warehouse.settings import ROOT, Settings, load_settings

AIM = 10.0
"""Time of the ledger ÷ time of the sum, at most."""

LEDGER = (
    "int_credit_accounts_touched",
    "int_credit_lots_ordered",
    "int_credit_segments_cut",
    "int_credit_usage_segmented",
    "int_credit_takes_made",
    "fct_credit_posting",
    "fct_credit_ledger",
    "fct_credit_lot",
    "fct_credit_balance_daily",
)
"""The models whose time counts, from the accounts to redo to the balance of days."""

ASKED = 20
"""Accounts whose balances are asked for."""

FIRST_DAY = date(2026, 1, 1)
SUM = """
create or replace temp table total as
select account_id, usage_date, sum(credits) as credits
from marts.main.fct_usage group by account_id, usage_date
"""

_EVENTS = """
insert into raw.main.usage_event
select 1, i, 'bench', 'e' || i, 0, false, hash('bench', 'e' || i),
    'account-' || lpad((hash(i, 'account') % $accounts)::varchar, 6, '0'),
    'agent-' || hash(i, 'agent') % 10, 'llm', 'gpt-4o', at_utc, cast(at_utc as date), 1200,
    cast(0.01 + hash(i, 'credits') % 100000000 / 1e8 as decimal(18, 9)), 900, 0, 0, 120, 'ok',
    null, null, null
from (
    select i, timestamp '{first}' + to_microseconds(
        cast((i - $start) * {microseconds} // $count + hash(i, 'time') % 1000000 as bigint)
    ) as at_utc
    from range($start, $start + $count) as events (i)
)
"""

_GRANTS = """
insert into raw.main.credit_grant
select 1, i + 1, 'lot ' || i, 'account-' || lpad((i // {grants})::varchar, 6, '0'),
    case when i % 2 = 0 then 'purchased' else 'promotional' end,
    cast(round({credits} * (0.5 + hash(i, 'credits') % 1000 / 1000.0), 9) as decimal(24, 12)), 50,
    begins_at, case when i % 2 = 1 then begins_at + interval 30 day end, null,
    case when i % 2 = 0 then 1000 + hash(i, 'paid') % 9000 end,
    case when i % 2 = 0 then 'USD' end, 'bench', timestamp '{first}'
from (
    select i, timestamp '{first}' - interval 10 day + to_microseconds(
        cast(hash(i, 'begins') % {microseconds} as bigint)
    ) as begins_at
    from range({accounts} * {grants}) as lots (i)
)
"""


@dataclass(frozen=True)
class Size:
    """How much is burnt down."""

    events: int
    accounts: int
    grants: int
    days: int


@dataclass(frozen=True)
class Measured:
    """One comparison; ``seconds`` by model, ``postings`` in the ledger after it."""

    case: str
    sum_seconds: float
    seconds: Mapping[str, float]
    accounts: int
    postings: int

    @property
    def ledger_seconds(self) -> float:
        """What all the models took."""
        return sum(self.seconds.values())

    @property
    def ratio(self) -> float:
        """The ledger's time in sums."""
        return self.ledger_seconds / self.sum_seconds


@dataclass(frozen=True)
class Answers:
    """Answers of the balance route; median and 95th percentile (nearest rank) in milliseconds."""

    case: str
    count: int
    median_ms: float
    p95_ms: float


@click.command()
@click.option("--events", default=10_000_000, show_default=True, help="Usage events.")
@click.option("--accounts", default=10_000, show_default=True, help="Accounts.")
@click.option("--grants", default=20, show_default=True, help="Lots an account.")
@click.option("--days", default=100, show_default=True, help="Days of usage.")
@click.option("--strict", is_flag=True, help="End with status 1 when the aim is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def main(events: int, accounts: int, grants: int, days: int, strict: bool, as_json: bool) -> None:
    """Build the ledger of all accounts, and again after one of them got new usage."""
    size = Size(events, accounts, grants, days)
    given = load_settings()
    base = given.home / "benchmarks"
    base.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="credits-", dir=base))
    settings = Settings(home=home, memory=given.memory, threads=given.threads)
    try:
        found = measure(settings, size)
        _progress("asking for live balances")
        live = live_milliseconds(settings, min(ASKED, size.accounts))
        answers = measure_route(settings, min(ASKED, size.accounts))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    outcome = {
        "size": asdict(size),
        "machine": machine(),
        "runs": [
            asdict(run) | {"ledger_seconds": run.ledger_seconds, "ratio": run.ratio}
            for run in found
        ],
        "route": [asdict(each) for each in answers],
        "live_ms": {"p50": live[len(live) // 2], "p95": live[len(live) * 95 // 100]},
    }
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        _show(found, outcome)
        _show_route(answers)
    if strict and any(run.ratio > AIM for run in found):
        sys.exit(1)


def measure(settings: Settings, size: Size) -> list[Measured]:
    """Fill a home, build the usage facts (not measured), then the ledger twice (measured)."""
    _progress("writing the raw lake")
    fill(settings, size)
    _progress("building usage")
    run_dbt(settings, 1, "--exclude", *(f"{model}+" for model in LEDGER))
    _progress("building the ledger of all accounts")
    everything = _compared(settings, "all accounts", run_dbt(settings, 1, "--select", *LEDGER))
    _progress("building what reads the ledger")
    readers = [f"{model}+" for model in LEDGER]
    run_dbt(settings, 1, "--select", *readers, "--exclude", *LEDGER)
    _publish(settings, 1)
    with writing(settings, "raw") as connection:
        _note_load(connection, 2, FIRST_DAY + timedelta(days=size.days), minute=1)
        day = FIRST_DAY + timedelta(days=size.days)
        connection.execute(
            "insert into raw.main.usage_event"
            " select 2, 1, 'bench', 'new', 0, false, hash('bench', 'new'), 'account-000007',"
            f" 'agent-1', 'llm', 'gpt-4o', timestamp '{day} 12:00',"
            f" date '{day}', 1200, 0.5, 900, 0, 0, 120, 'ok',"
            " null, null, null"
        )
    _progress("building again after one event")
    seconds = run_dbt(settings, 2, "--select", *(f"+{model}" for model in LEDGER))
    one = _compared(settings, "one account with new usage", seconds)
    _publish(settings, 2)
    return [everything, one]


def live_milliseconds(settings: Settings, accounts: int = 20, repeats: int = 10) -> list[float]:
    """What a live balance takes, sorted, on connections that are open; with 1,000 pending events.

    The lots of some accounts are granted in the operational store as the lake has them.
    """
    names = [f"account-{number:06d}" for number in range(accounts)]
    with writing(settings, "raw") as connection:
        lots = connection.execute(
            "select account_id, credits, kind, effective_at, expires_at from raw.main.credit_grant"
            " where account_id in (select unnest($names)) order by grant_id",
            {"names": names},
        ).fetchall()
        row = connection.execute("select max(occurred_at) from raw.main.usage_event").fetchone()
        assert row is not None
        now = row[0].replace(tzinfo=UTC) + timedelta(hours=2)
        _note_load(connection, 3, now.date(), minute=2)
        connection.execute(
            "insert into raw.main.usage_event select 3, i, 'bench', 'pending' || i, 0, false,"
            " hash('bench', 'pending' || i), $names[i % len($names) + 1], 'agent-1', 'llm',"
            " 'gpt-4o', $at, cast($at as date), 1200, 0.25, 900, 0, 0, 120, 'ok', null, null, null"
            " from range(1000) as events (i)",
            {"names": names, "at": row[0]},
        )
    found = []
    with open_store(settings) as store, open_lake(settings) as lake:
        for name in names:
            add_account(store, name, now=now)
        for name, credits, kind, begins, ends in lots:
            grant(
                store,
                name,
                credits.quantize(Decimal("0.000000001")),
                reason="bench",
                kind=kind,
                effective_at=begins.replace(tzinfo=UTC),
                expires_at=ends.replace(tzinfo=UTC) if ends else None,
                now=now,
            )
        for number in range(accounts * repeats):
            start = time.perf_counter()
            position = credit_position(lake, store, names[number % accounts], now)
            found.append((time.perf_counter() - start) * 1000)
            assert position.pending > 0
    return sorted(found[accounts:])


def measure_route(settings: Settings, accounts: int) -> list[Answers]:
    """Ask the app's server for balances: with nothing else going on, and while a refresh runs.

    The accounts are those that ``live_milliseconds`` declared, its 1,000 events are pending.
    """
    names = [f"account-{number:06}" for number in range(accounts)]
    environment = settings.environment() | {"METERHOUSE_API_TOKEN": "bench"}
    scripts, logs = Path(sys.executable).parent, settings.home / "logs"
    port = free_port()
    app = [
        str(scripts / "streamlit"), "run", str(ROOT / "app" / "asgi.py"),
        "--server.port", str(port),
    ]  # fmt: skip
    with supervising() as supervisor:
        supervisor.start("the app", app, environment, logs / "app.log")
        supervisor.wait_for(f"http://127.0.0.1:{port}/healthz", 120)
        _ask(port, names, lambda number: number < 20)
        _progress("asking with nothing else going on")
        quiet = _ask(port, names, lambda number: number < 200)
        _progress("asking while a refresh runs")
        with (logs / "refresh.log").open("wb") as log:
            refresh = subprocess.Popen(
                [str(scripts / "meterhouse"), "refresh"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
            busy = _ask(port, names, lambda _: refresh.poll() is None)
    return [Answers("alone", *quiet), Answers("while a refresh runs", *busy)]


def _ask(
    port: int, accounts: Sequence[str], goes_on: Callable[[int], bool]
) -> tuple[int, float, float]:
    """How many balances were asked for, one after the other; median and p95 in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times: list[float] = []
    while goes_on(len(times)):
        account_id = accounts[len(times) % len(accounts)]
        start = time.perf_counter()
        connection.request(
            "GET",
            f"/v1/accounts/{account_id}/balance",
            headers={"Authorization": "Bearer bench"},
        )
        answer = connection.getresponse()
        body = answer.read()
        times.append(1000 * (time.perf_counter() - start))
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body!r}")
    connection.close()
    ordered = sorted(times)
    return (
        len(ordered),
        ordered[len(ordered) // 2],
        ordered[min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)],
    )


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fill(settings: Settings, size: Size) -> None:
    """Write events, lots and terms straight into the raw lake, as the loader would leave them."""
    span = timedelta(days=size.days)
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        _note_load(connection, 1, FIRST_DAY + span)
        pieces = min(size.days, 50)
        per_piece = size.events // pieces
        for piece in range(pieces):
            first = datetime.combine(FIRST_DAY, datetime.min.time()) + span * piece / pieces
            connection.execute(
                _EVENTS.format(
                    first=first, microseconds=int(span / pieces / timedelta(microseconds=1))
                ),
                {"accounts": size.accounts, "start": piece * per_piece, "count": per_piece},
            )
        connection.execute(
            _GRANTS.format(
                first=datetime.combine(FIRST_DAY, datetime.min.time()),
                microseconds=int(span / timedelta(microseconds=1)),
                accounts=size.accounts,
                grants=size.grants,
                credits=size.events * 0.51 / size.accounts / size.grants,
            )
        )
        connection.execute(
            "insert into raw.main.account_term select 1, i + 1, 'account-' ||"
            " lpad(i::varchar, 6, '0'), date '2020-01-01', 'Account ' || i,"
            " ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'][i % 4 + 1], 'USD', null,"
            f" 'prepaid', null, timestamp '2020-01-01' from range({size.accounts}) as accounts (i)"
        )


def _note_load(connection: Connection, load_id: int, day: date, minute: int = 0) -> None:
    begins = datetime.combine(day, datetime.min.time()) + timedelta(hours=13)
    connection.execute(
        "insert into raw.main.load select $load_id, 'file', 'bench', 'bench', '', 0, 0, 0, 0, 0, 0,"
        " $at, $at, null",
        {"load_id": load_id, "at": begins + timedelta(minutes=minute)},
    )


def run_dbt(settings: Settings, load_id: int, *selection: str) -> dict[str, float]:
    """Build models, without their tests; returns the seconds that each took, by its name."""
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
    return {row["unique_id"].split(".")[-1]: row["execution_time"] for row in results}


def _compared(settings: Settings, case: str, seconds: Mapping[str, float]) -> Measured:
    with _head(settings) as connection:
        best = min(_timed(connection, SUM) for _ in range(3))
        counts = connection.execute(
            "select (select count(*) from marts.main.int_credit_accounts_touched),"
            " (select count(*) from marts.main.fct_credit_posting)"
        ).fetchone()
    assert counts is not None
    taken = {name: seconds[name] for name in LEDGER if name in seconds}
    return Measured(case, best, taken, *counts)


def _timed(connection: Connection, sql: str) -> float:
    start = time.perf_counter()
    connection.execute(sql)
    return time.perf_counter() - start


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


@contextmanager
def _head(settings: Settings) -> Any:
    connection = reading_head(settings)
    try:
        yield connection
    finally:
        connection.close()


def _progress(text: str) -> None:
    if os.isatty(2):
        click.echo(f"… {text}", err=True)


def _show(found: Sequence[Measured], outcome: Mapping[str, Any]) -> None:
    console = report_console()
    console.print(json.dumps(outcome["size"]), json.dumps(outcome["machine"]))
    table = Table(header_style="bold")
    for name in ("case", "accounts", "postings", "one sum s", "ledger s", "ledger ÷ sum", "aim"):
        table.add_column(name, justify="left" if name == "case" else "right")
    for run in found:
        table.add_row(
            run.case,
            f"{run.accounts:,}",
            f"{run.postings:,}",
            f"{run.sum_seconds:.2f}",
            f"{run.ledger_seconds:.2f}",
            f"{run.ratio:.1f}",
            f"≤ {AIM:g}",
        )
    console.print(table)
    live = outcome["live_ms"]
    console.print(f"live balance, warm: p50 {live['p50']:.1f} ms, p95 {live['p95']:.1f} ms")
    for run in found:
        slowest = sorted(run.seconds.items(), key=lambda pair: -pair[1])
        console.print(f"{run.case}: " + ", ".join(f"{name} {spent:.2f}" for name, spent in slowest))


def _show_route(answers: Sequence[Answers]) -> None:
    table = Table(header_style="bold")
    for name in ("balance route", "answers", "median ms", "p95 ms"):
        table.add_column(name, justify="left" if name == "balance route" else "right")
    for each in answers:
        table.add_row(each.case, f"{each.count:,}", f"{each.median_ms:.0f}", f"{each.p95_ms:.0f}")
    report_console().print(table)


if __name__ == "__main__":
    main()
