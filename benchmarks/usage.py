"""The usage log's questions over ten million events, and exports of a million of them.

``python -m benchmarks.usage`` (or ``make bench``). README.md says what is compared.
"""

import io
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.table import Table

from benchmarks.measuring import machine, report_console
from ingest.sample import SampleSpec, sample_accounts, write_sample
from warehouse.lake import engine_config
from warehouse.publication import reading_published
from warehouse.settings import Settings, load_settings
from warehouse.usage.columns import Format
from warehouse.usage.selection import Dimension, Selection, Sort, order_of

AIM_MS = 100.0
"""What a question may take at the 95th percentile, in milliseconds."""

GROWTH_BOUND = 200 * 10**6
"""Bytes by which an export may make the server grow."""

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 31
OURS, PLAIN = "meterhouse", "plain"
QUESTIONS = ("first page", "filter", "sort by credits", "group", "group by hour", "text search")
Answers = dict[str, list[tuple[float, float]]]
"""For each question (seconds, seconds of processor) of every time it was asked."""


@click.command()
@click.option("--events", default=10_000_000, show_default=True, help="Events of the lake.")
@click.option("--repeats", default=24, show_default=True, help="Times each question is asked.")
@click.option("--export-rows", default=1_000_000, show_default=True, help="Rows of an export.")
@click.option("--strict", is_flag=True, help="End with status 1 when a bound is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the lake is kept for the next time; <METERHOUSE_HOME>/benchmarks by default.",
)
@click.option("--case", hidden=True)
@click.option("--home", hidden=True, type=click.Path(path_type=Path))
def main(
    events: int,
    repeats: int,
    export_rows: int,
    strict: bool,
    as_json: bool,
    folder: Path | None,
    case: str | None,
    home: Path | None,
) -> None:
    """Ask the usage log and a plain table the same questions; export a million rows."""
    if case:
        assert home
        click.echo(json.dumps(run_case(case, home, repeats, export_rows)))
        return
    settings = ensure_home(folder or load_settings().home / "benchmarks", events)
    outcome = compare(settings, repeats, export_rows)
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        report(outcome)
    if strict and not outcome["is_within_bounds"]:
        sys.exit(1)


# --- the lake -------------------------------------------------------------------------------


def spec_of(events: int) -> SampleSpec:
    """The usage that is asked: clean, always the same."""
    return SampleSpec(events=events, until=UNTIL, clean=True)


def ensure_home(folder: Path, events: int) -> Settings:
    """A home whose lakes hold the usage as in production, and a plain table of it; made once.

    It is loaded, refreshed and tidied by the same commands.
    """
    from orchestration.commands.sample import declare
    from orchestration.loading import load_files

    home = folder / f"usage-{events}"
    settings = Settings(home=home)
    if not (home / "ready").exists():
        shutil.rmtree(home, ignore_errors=True)
        spec = spec_of(events)
        landing = settings.landing_folder / "meterhouse"
        landing.mkdir(parents=True)
        _say(f"generating {events:,} events …")
        write_sample(spec, landing, memory=settings.memory)
        with redirect_stderr(io.StringIO()):
            declare(settings, sample_accounts(spec))
        _say("loading …")
        load_files(settings, "meterhouse", [landing])
        shutil.rmtree(landing)
        _say("building and checking the marts …")
        run_meterhouse(settings, "refresh")
        run_meterhouse(settings, "upkeep")
        (home / "ready").touch()
    if not plain_file(home).exists():
        _say("copying the events into a plain table …")
        _make_plain(settings)
    return settings


def plain_file(home: Path) -> Path:
    """The plain table of a home that :func:`ensure_home` made."""
    return home / "plain.duckdb"


def _make_plain(settings: Settings) -> None:
    """The same rows in one table of a DuckDB file, in the order in which they happened."""
    draft = settings.home / "draft.duckdb"
    draft.unlink(missing_ok=True)
    connection, _ = reading_published(settings)
    connection.execute(f"attach '{draft}' as plain")
    connection.execute(
        "create table plain.event as select * from rpt_usage_event order by occurred_at"
    )
    connection.close()
    draft.rename(plain_file(settings.home))


def run_meterhouse(settings: Settings, *arguments: str) -> None:
    """Run a command of Meterhouse's. Raises RuntimeError with what it said when it fails."""
    command = [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments]
    done = subprocess.run(
        command, env=settings.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"meterhouse {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")


# --- the questions --------------------------------------------------------------------------


def month_before(number: int) -> Selection:
    """A range of :data:`DAYS` days within the last 200, another one each time."""
    until = UNTIL.date() - timedelta(days=(number * 37) % 170)
    return Selection(until - timedelta(days=DAYS), until)


def ask_ours(home: Path, repeats: int) -> Answers:
    """The page's own questions, through the gate; nothing is cached between them."""
    from app.gate import Gate
    from app.lake import LakeReader
    from app.queries import usage

    reader = LakeReader(Settings(home=home))
    gate = Gate(reader, reader.publication())
    accounts = [account.account_id for account in gate.accounts()]

    def first_page(number: int, selection: Selection) -> None:
        account = gate.enter(accounts[number % len(accounts)])
        usage.gather_page(account, usage.gather_summary(account, selection))

    def filtered(number: int, selection: Selection) -> None:
        first_page(number, replace(selection, categories=("llm",), statuses=("ok",)))

    def by_credits(number: int, selection: Selection) -> None:
        account = gate.enter(accounts[number % len(accounts)])
        summary = usage.gather_summary(account, selection)
        usage.gather_page(account, summary, sort=Sort.CREDITS)

    def grouped(number: int, selection: Selection, *by: Dimension) -> None:
        account = gate.enter(accounts[number % len(accounts)])
        totals = usage.gather_summary(account, selection).totals
        usage.gather_groups(account, selection, totals, by or (Dimension.DAY, Dimension.MODEL))

    def by_hour(number: int, selection: Selection) -> None:
        grouped(number, selection, Dimension.HOUR)

    def searched(number: int, selection: Selection) -> None:
        first_page(number, replace(selection, text="4a"))

    asked = (first_page, filtered, by_credits, grouped, by_hour, searched)
    try:
        return _timed(dict(zip(QUESTIONS, asked, strict=True)), repeats)
    finally:
        reader.close()


def ask_plain(home: Path, repeats: int) -> Answers:
    """The same answers from one unpartitioned table, without sums."""
    connection = duckdb.connect(
        str(plain_file(home)), read_only=True, config=engine_config(Settings(home=home))
    )
    connection.execute("set timezone = 'UTC'")
    accounts = [
        row[0]
        for row in connection.execute("select distinct account_id from event order by 1").fetchall()
    ]
    sums = (
        "count(*), count(*) filter (where status <> 'ok'), sum(credits), sum(total_tokens),"
        " sum(execution_ms), sum(provider_cost_usd)"
    )

    def rows(number: int, text: str, selection: Selection) -> None:
        condition = selection.of_events()
        values = {**condition.parameters, "account_id": accounts[number % len(accounts)]}
        if "$zone" in text:
            values["zone"] = "Europe/Berlin"
        where = f"account_id = $account_id and {condition.sql}"
        connection.execute(text.format(where=where), values).fetchall()

    def days(number: int, selection: Selection) -> None:
        both = replace(selection, first=selection.previous().first)
        rows(number, f"select usage_date, {sums} from event where {{where}} group by 1", both)

    def page(number: int, selection: Selection, sort: Sort = Sort.TIME) -> None:
        days(number, selection)
        text = f"select * from event where {{where}} order by {order_of(sort)} limit 50"
        rows(number, text, selection)

    def filtered(number: int, selection: Selection) -> None:
        page(number, replace(selection, categories=("llm",), statuses=("ok",)))

    def by_credits(number: int, selection: Selection) -> None:
        page(number, selection, Sort.CREDITS)

    def grouped(number: int, selection: Selection, by: str = "usage_date, model") -> None:
        days(number, selection)
        rows(number, f"select {by}, {sums} from event where {{where}} group by {by}", selection)

    def by_hour(number: int, selection: Selection) -> None:
        grouped(number, selection, "hour(timezone($zone, timezone('UTC', occurred_at)))")

    def searched(number: int, selection: Selection) -> None:
        page(number, replace(selection, text="4a"))

    asked = (page, filtered, by_credits, grouped, by_hour, searched)
    try:
        return _timed(dict(zip(QUESTIONS, asked, strict=True)), repeats)
    finally:
        connection.close()


def _timed(questions: dict[str, Callable[[int, Selection], None]], repeats: int) -> Answers:
    """Every question as often as wanted, in turns; the first turn warms up and is not counted."""
    found: Answers = {name: [] for name in questions}
    for number in range(repeats + 1):
        for name, ask in questions.items():
            started, cpu = time.perf_counter(), time.process_time()
            ask(number, month_before(number))
            if number:
                found[name].append((time.perf_counter() - started, time.process_time() - cpu))
    return found


# --- the exports ----------------------------------------------------------------------------


def export_rows(home: Path, output: Format, rows: int) -> dict[str, Any]:
    """Export so many events of the largest account, as the server does; its growth in bytes.

    The server is warm: a page was drawn before.
    """
    from app import exports
    from app.gate import Gate
    from app.lake import LakeReader
    from app.queries import usage

    settings = Settings(home=home)
    reader = LakeReader(settings)
    gate = Gate(reader, reader.publication())
    account_id, selection = _rows_to_export(reader, rows)
    account = gate.enter(account_id)
    usage.gather_page(account, usage.gather_summary(account, month_before(0)))
    assert gate.publication
    with tempfile.TemporaryDirectory(dir=home) as folder:
        desk = exports.ExportDesk(Path(folder) / "exports")
        before = peak = _resident()
        started, cpu = time.perf_counter(), time.process_time()
        job = desk.start(settings, gate.publication, account_id, selection, output, "browser")
        while job.state in ("waiting", "running"):
            peak = max(peak, _resident())
            time.sleep(0.005)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        if job.state != "ready":
            raise RuntimeError(f"the export ended as {job.state}: {job.error}")
        with exports.opened(desk.claim(account_id, job.ticket, "browser")) as content:
            while content.read(exports.CHUNK_BYTES):
                peak = max(peak, _resident())
        desk.close()
    reader.close()
    return {
        "rows": job.rows,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "size_bytes": job.size_bytes,
        "growth_bytes": peak - before,
    }


def _rows_to_export(reader: Any, rows: int) -> tuple[str, Selection]:
    """The largest account, and its last days with so many events or a few more."""
    days = reader.rows(
        "with largest as (select account_id from marts.main.rpt_usage_daily group by 1"
        " order by sum(events) desc limit 1)"
        " select account_id, usage_date, sum(events) from marts.main.rpt_usage_daily"
        " inner join largest using (account_id) group by all order by usage_date desc",
        {},
        publication=reader.publication(),
    )
    found = 0
    first: date = UNTIL.date()
    for _, day, events in days:
        if found >= rows:
            break
        found += events
        first = day
    return days[0][0], Selection(first, UNTIL.date() + timedelta(days=1))


def _resident() -> int:
    """Bytes of this process in memory now (Linux)."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- the comparison -------------------------------------------------------------------------


def run_case(case: str, home: Path, repeats: int, rows: int) -> Any:
    """What one process measures."""
    if case == OURS:
        return ask_ours(home, repeats)
    if case == PLAIN:
        return ask_plain(home, repeats)
    return export_rows(home, Format(case), rows)


def compare(settings: Settings, repeats: int, rows: int) -> dict[str, Any]:
    """Ask both, export in every format, and put the numbers together, ready for JSON."""
    before = machine()
    home = settings.home
    answers: dict[str, Answers] = {}
    for case in (PLAIN, OURS):
        _say(f"{case}: {len(QUESTIONS)} questions, {repeats} times each …")
        answers[case] = _in_process(case, home, repeats, rows)
    exports = {}
    for output in Format:
        _say(f"exporting {rows:,} rows as {output} …")
        exports[output.value] = _in_process(output.value, home, repeats, rows)
    questions = {
        name: {
            **{case: quantiles(answers[case][name]) for case in (OURS, PLAIN)},
            "ours_to_plain": quantiles(answers[OURS][name])["p50_ms"]
            / quantiles(answers[PLAIN][name])["p50_ms"],
        }
        for name in QUESTIONS
    }
    return {
        "machine": before,
        "questions": questions,
        "exports": exports,
        "is_within_bounds": all(q[OURS]["p95_ms"] <= AIM_MS for q in questions.values())
        and all(found["growth_bytes"] <= GROWTH_BOUND for found in exports.values()),
    }


def quantiles(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Median and 95th percentile (nearest rank) in milliseconds, and the median of CPU time."""
    seconds = sorted(taken for taken, _ in times)
    return {
        "p50_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * seconds[math.ceil(0.95 * len(seconds)) - 1],
        "cpu_ms": 1000 * statistics.median(cpu for _, cpu in times),
    }


def _in_process(case: str, home: Path, repeats: int, rows: int) -> Any:
    """Run a case in a process of its own. Raises RuntimeError with what it said."""
    arguments = ["--case", case, "--home", str(home), "--repeats", str(repeats)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.usage", *arguments, "--export-rows", str(rows)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{case} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(outcome: dict[str, Any]) -> None:
    """Print the comparison for people."""
    console = report_console()
    at = outcome["machine"]
    console.print(
        f"{at['cores']} cores ({at['processor']}), {at['memory_gib']} GiB, load average "
        f"{at['load_average']} before; {at['system']}, Python {at['python']}, DuckDB {at['duckdb']}"
    )
    table = Table(header_style="bold")
    table.add_column("question")
    for name in (
        "p50 ms",
        "p95 ms",
        "CPU ms",
        "plain p50",
        "plain p95",
        "plain CPU",
        "ours ÷ plain",
    ):
        table.add_column(name, justify="right")
    for name, found in outcome["questions"].items():
        figures = [
            f"{found[case][key]:.0f}"
            for case in (OURS, PLAIN)
            for key in ("p50_ms", "p95_ms", "cpu_ms")
        ]
        table.add_row(name, *figures, f"{found['ours_to_plain']:.2f}")
    console.print(table)
    table = Table(header_style="bold")
    table.add_column("export")
    for name in ("rows", "seconds", "CPU s", "MB", "growth MB"):
        table.add_column(name, justify="right")
    for name, found in outcome["exports"].items():
        table.add_row(
            name,
            f"{found['rows']:,}",
            f"{found['seconds']:.1f}",
            f"{found['cpu_seconds']:.1f}",
            f"{found['size_bytes'] / 1e6:.0f}",
            f"{found['growth_bytes'] / 1e6:.0f}",
        )
    console.print(table)
    console.print(
        f"aim: p95 of {AIM_MS:.0f} ms a question, growth of {GROWTH_BOUND / 1e6:.0f} MB an export"
    )


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
