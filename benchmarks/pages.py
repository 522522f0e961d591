"""How long people wait for the app's pages: one in a browser, and thirty at once.

``python -m benchmarks.pages`` (or ``make bench``). README.md says what is measured.
"""

import asyncio
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
import duckdb
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks.credits import free_port
from benchmarks.measuring import machine, report_console
from benchmarks.usage import UNTIL, ensure_home, plain_file, run_meterhouse
from benchmarks.visitors import Tally, visit_together
from orchestration.supervisor import supervising
from warehouse.lake import engine_config
from warehouse.settings import ROOT, Settings, load_settings

START_SECONDS = 120
ALONE_THINK = 1.0
"""Mean seconds between two clicks of the one person who is alone."""

NEW_EVENTS = 1_000
"""Events that arrive before each refresh."""

LAST_MONTH = date(2026, 10, 1)
"""The last whole month of the lake."""

HELLO = 'import streamlit as st\n\nst.write("hello")\n'

SHOWN = """
(() => {
    const quiet = 300, selectors = %s;
    const app = "[data-testid=stApp][data-test-script-state=notRunning]";
    const busy = "[data-testid=stSkeleton], [data-testid=stSpinner]";
    const charts = "[data-testid=stVegaLiteChart]", drawn = "canvas, svg";
    const isShown = () =>
        document.querySelector(app) && !document.querySelector(busy)
        && document.fonts.status === "loaded"
        && selectors.every((each) => document.querySelector(each))
        && [...document.querySelectorAll(charts)].every((each) => each.querySelector(drawn));
    window.shown = new Promise((resolve) => {
        let since = null;
        const look = () => {
            const now = performance.now();
            since = isShown() ? since ?? now : null;
            if (since !== null && now - since >= quiet) resolve(since);
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });
})()
"""
"""Promises the milliseconds from the navigation until everything is there, and stays so."""

CHART = ":is(canvas, svg)"


@dataclass(frozen=True)
class Place:
    """A page to open: its name, path and query, and the elements without which it is not whole."""

    name: str
    address: str
    selectors: tuple[str, ...]


@dataclass(frozen=True)
class Opening:
    """One page opened in a browser; ``query_seconds`` are those with at least one question."""

    seconds: float
    queries: int
    query_seconds: float


@dataclass(frozen=True)
class Crowd:
    """What a number of people met, and what the server's memory was: before, at most, after.

    Processor time is all that the server spent, renewals of open pages included.
    """

    people: int
    clicks: int
    p50_ms: float
    p95_ms: float
    errors: tuple[str, ...]
    renewals: int
    refreshes: int
    before_bytes: int
    peak_bytes: int
    after_bytes: int
    cpu_share: float
    cpu_ms_a_click: float
    by_page: Mapping[str, tuple[int, float]]


@click.command()
@click.option("--events", default=10_000_000, show_default=True, help="Events of the lake.")
@click.option("--repeats", default=3, show_default=True, help="Times each page is opened.")
@click.option("--people", default=30, show_default=True, help="People at once.")
@click.option("--seconds", default=120.0, show_default=True, help="How long they click.")
@click.option("--think", default=7.0, show_default=True, help="Mean seconds between two clicks.")
@click.option("--without-browser", is_flag=True, help="Leave the browser out.")
@click.option("--without-people", is_flag=True, help="Leave the people out.")
@click.option("--strict", is_flag=True, help="End with status 1 after any error.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the lake is kept for the next time; <METERHOUSE_HOME>/benchmarks by default.",
)
def main(
    events: int,
    repeats: int,
    people: int,
    seconds: float,
    think: float,
    without_browser: bool,
    without_people: bool,
    strict: bool,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Open Overview and Usage, then let many people click through all pages."""
    folder = folder or load_settings().home / "benchmarks"
    kept = ensure_home(folder, events)
    outcome: dict[str, Any] = {"events": events, "machine": machine()}
    with copied(kept, folder) as settings:
        if not without_browser:
            outcome["pages"] = measure_pages(settings, plain_file(kept.home), repeats)
        if not without_people:
            outcome["people"] = measure_people(settings, people, seconds, think)
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        report(outcome)
    if strict and any(each["errors"] for each in outcome.get("people", {}).get("crowds", ())):
        sys.exit(1)


# --- the lake and its server ----------------------------------------------------------------


@contextmanager
def copied(kept: Settings, folder: Path) -> Iterator[Settings]:
    """A home like ``kept`` that may be written; Parquet files, which nobody alters, are links."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)

    with tempfile.TemporaryDirectory(prefix="pages-", dir=folder) as name:
        settings = Settings(home=Path(name) / "home", memory=kept.memory, threads=kept.threads)
        shutil.copytree(
            kept.home,
            settings.home,
            copy_function=copy,
            ignore=shutil.ignore_patterns(plain_file(kept.home).name),
        )
        run_meterhouse(settings, "relocate")
        yield settings


@contextmanager
def serving(settings: Settings, script: Path) -> Iterator[str]:
    """The address of a server of ``script``, a process of its own until the block ends."""
    port = free_port()
    command = [
        sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port),
    ]  # fmt: skip
    environment = settings.environment() | {"METERHOUSE_APP_PORT": str(port)}
    with supervising() as supervisor:
        supervisor.start("the app", command, environment, settings.home / "logs" / "bench.log")
        supervisor.wait_for(f"http://127.0.0.1:{port}/_stcore/health", START_SECONDS)
        yield f"http://127.0.0.1:{port}"


def figures(address: str) -> dict[str, float]:
    """What ``/metrics`` tells, summed over labels."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return dict(found)


# --- one person in a browser ----------------------------------------------------------------


def places(account: str) -> tuple[Place, ...]:
    """The pages that are opened, of one account."""
    return (
        Place(
            "Overview",
            f"?account={account}&month={LAST_MONTH:%Y-%m}",
            (
                ".mh-balance",
                *(f".st-key-card-{card} {CHART}" for card in ("used", "trend")),
                *(f".st-key-card-{card} h3" for card in ("categories", "models", "agents")),
            ),
        ),
        Place(
            "Usage",
            f"usage?account={account}&from={LAST_MONTH}&to={UNTIL.date()}",
            (f".st-key-card-selection {CHART}", ".st-key-card-log tbody tr"),
        ),
    )


def measure_pages(settings: Settings, plain: Path, repeats: int) -> dict[str, Any]:
    """Each page at the first visit of a new server and again, beside a page that says hello."""
    from tests.e2e.browser import started_browser

    account = _largest_account(plain)
    hello = settings.home / "hello.py"
    hello.write_text(HELLO, encoding="utf-8")
    bare = bare_seconds(settings, plain, account)
    nothing = Place("st.write", "", ("[data-testid=stMarkdownContainer] p",))
    cases: list[tuple[Path, Place]] = [
        (hello, nothing),
        *((ROOT / "app" / "asgi.py", place) for place in places(account)),
    ]
    found: dict[str, dict[str, list[Opening]]] = {
        place.name: {"first": [], "warm": []} for _, place in cases
    }
    with started_browser() as browser:
        for number in range(repeats):
            for script, place in cases:
                _say(f"{place.name}, {number + 1} of {repeats} …")
                tells = figures if script is not hello else None
                with serving(settings, script) as address:
                    for visit in ("first", "warm", "warm"):
                        opening = _open(browser, address, place, tells)
                        found[place.name][visit].append(opening)
    return {
        name: {
            visit: summarised(openings, found[nothing.name][visit], bare.get(name))
            for visit, openings in visits.items()
        }
        for name, visits in found.items()
    }


def _open(
    browser: Any, address: str, place: Place, tells: Callable[[str], dict[str, float]] | None
) -> Opening:
    """Open a page in a new session of a browser that has nothing cached."""
    before = tells(address) if tells else {}
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    try:
        page = context.new_page()
        page.set_default_timeout(START_SECONDS * 1_000)
        page.add_init_script(SHOWN % json.dumps(place.selectors))
        page.goto(f"{address}/{place.address}", wait_until="commit")
        milliseconds = page.evaluate("window.shown")
    finally:
        context.close()
    after = tells(address) if tells else {}
    count, taken = (
        after.get(f"meterhouse_query_{name}", 0.0) - before.get(f"meterhouse_query_{name}", 0.0)
        for name in ("duration_seconds_count", "busy_seconds_total")
    )
    return Opening(milliseconds / 1000, int(count), taken)


def summarised(
    openings: Sequence[Opening], floor: Sequence[Opening], bare: float | None
) -> dict[str, Any]:
    """Medians of openings, and what they are beside hello and beside bare queries."""
    seconds = statistics.median(each.seconds for each in openings)
    queries = statistics.median(each.query_seconds for each in openings)
    return {
        "seconds": seconds,
        "queries": statistics.median(each.queries for each in openings),
        "query_seconds": queries,
        "share_of_queries": statistics.median(
            each.query_seconds / each.seconds for each in openings
        ),
        "to_hello": seconds / statistics.median(each.seconds for each in floor),
        "bare_seconds": bare,
        "queries_to_bare": queries / bare if bare else None,
    }


def _largest_account(plain: Path) -> str:
    with duckdb.connect(str(plain), read_only=True) as connection:
        row = connection.execute(
            "select account_id from event group by 1 order by count(*) desc, 1 limit 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


def bare_seconds(
    settings: Settings, plain: Path, account: str, repeats: int = 5
) -> dict[str, float]:
    """What one unpartitioned table takes for a page's own figures, the median of some times."""
    sums = (
        "count(*), count(*) filter (where status <> 'ok'), sum(credits), sum(total_tokens),"
        " sum(provider_cost_usd)"
    )

    def days(first: date, until: date) -> str:
        return f"account_id = $account_id and usage_date >= '{first}' and usage_date < '{until}'"

    month = days(LAST_MONTH, UNTIL.date())
    both = days((LAST_MONTH - timedelta(days=1)).replace(day=1), UNTIL.date())
    questions = {
        "Overview": [
            f"select usage_date, {sums} from event where {both} group by 1",
            *(
                f"select {by}, {sums} from event where {month} group by all"
                for by in ("category", "model", "agent_id", "agent_id, usage_date")
            ),
        ],
        "Usage": [
            f"select usage_date, {sums} from event where {both} group by 1",
            f"select {sums} from event where account_id = $account_id"
            " group by grouping sets ((agent_id), (category), (model), (status))",
            f"select * from event where {month} order by occurred_at desc limit 50",
        ],
    }
    found: dict[str, float] = {}
    with duckdb.connect(str(plain), read_only=True, config=engine_config(settings)) as connection:
        for name, texts in questions.items():
            taken = []
            for _ in range(repeats + 1):
                started = time.perf_counter()
                for text in texts:
                    connection.execute(text, {"account_id": account}).fetchall()
                taken.append(time.perf_counter() - started)
            found[name] = statistics.median(taken[1:])
    return found


# --- many people ----------------------------------------------------------------------------


def measure_people(settings: Settings, people: int, seconds: float, think: float) -> dict[str, Any]:
    """One person alone, then many while refreshes run, on one server that was just started."""
    with serving(settings, ROOT / "app" / "asgi.py") as address:
        _say(f"one person, {seconds:g} s …")
        alone = measure_crowd(address, 1, seconds, min(ALONE_THINK, think), lambda _: 0)
        _say(f"{people} people, {seconds:g} s …")
        together = measure_crowd(address, people, seconds, think, partial(refresh_on, settings))
    return {
        "think_seconds": think,
        "crowds": [asdict(alone), asdict(together)],
        "p95_to_alone": together.p95_ms / alone.p95_ms,
        "growth_bytes": together.after_bytes - together.before_bytes,
    }


def measure_crowd(
    address: str,
    people: int,
    seconds: float,
    think: float,
    beside: Callable[[threading.Event], int],
) -> Crowd:
    """Let people click; ``beside`` runs until its event is set, and counts its rounds."""
    over = threading.Event()
    rounds: list[int] = []
    resident: list[float] = []
    before = figures(address)
    other = threading.Thread(target=lambda: rounds.append(beside(over)))
    watcher = threading.Thread(target=_watch_memory, args=(address, over, resident))
    started = time.perf_counter()
    other.start()
    watcher.start()
    try:
        tally = asyncio.run(visit_together(address, people, seconds, think))
    finally:
        taken = time.perf_counter() - started
        after = figures(address)
        over.set()
        watcher.join()
        other.join()
    if not rounds:
        tally.errors.append("what ran beside them failed; see above")
    return crowd_of(people, tally, rounds, resident, taken, before, after)


def crowd_of(
    people: int,
    tally: Tally,
    rounds: Sequence[int],
    resident: Sequence[float],
    taken: float,
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> Crowd:
    """Put together what was measured. Raises RuntimeError when nobody got an answer."""
    times = sorted(each.seconds for each in tally.clicks)
    if not times:
        raise RuntimeError(f"nobody got an answer: {tally.errors[:3]}")
    by_page: dict[str, list[float]] = {}
    for each in tally.clicks:
        by_page.setdefault(f"/{each.page}", []).append(each.seconds)
    memory, cpu = "process_resident_memory_bytes", "process_cpu_seconds_total"
    spent = after[cpu] - before[cpu]
    return Crowd(
        people=people,
        clicks=len(times),
        p50_ms=1000 * statistics.median(times),
        p95_ms=1000 * quantile(times, 0.95),
        errors=tuple(tally.errors),
        renewals=tally.renewals,
        refreshes=sum(rounds),
        before_bytes=int(before[memory]),
        peak_bytes=int(max([*resident, before[memory], after[memory]])),
        after_bytes=int(after[memory]),
        cpu_share=spent / taken,
        cpu_ms_a_click=1000 * spent / len(times),
        by_page={
            page: (len(each), 1000 * quantile(sorted(each), 0.95))
            for page, each in sorted(by_page.items())
        },
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """The nearest rank."""
    return ordered[math.ceil(part * len(ordered)) - 1]


def _watch_memory(address: str, over: threading.Event, found: list[float]) -> None:
    while not over.wait(1.0):
        found.append(figures(address)["process_resident_memory_bytes"])


def refresh_on(settings: Settings, over: threading.Event) -> int:
    """Load new events and refresh, again and again until it is over; how often that was done."""
    accounts = _accounts(settings)
    landing = settings.landing_folder / "meterhouse"
    landing.mkdir(parents=True, exist_ok=True)
    rounds = 0
    while not over.is_set():
        rounds += 1
        draft = landing / f"bench-{rounds}.tmp"
        draft.write_text(new_events(rounds, accounts), encoding="utf-8")
        draft.rename(draft.with_suffix(".ndjson"))
        run_meterhouse(settings, "load")
        run_meterhouse(settings, "refresh")
    return rounds


def _accounts(settings: Settings) -> list[str]:
    from billing.accounts import list_accounts
    from billing.store import open_store

    with open_store(settings) as store:
        return [account.account_id for account in list_accounts(store)]


def new_events(number: int, accounts: Sequence[str]) -> str:
    """:data:`NEW_EVENTS` lines of usage in the last hour of the lake."""
    first = UNTIL - timedelta(hours=1)
    return "".join(
        json.dumps(
            {
                "event_id": f"bench-{number}-{place}",
                "account_id": accounts[place % len(accounts)],
                "agent_id": "bench",
                "category": "llm",
                "model": "gpt-4o",
                "credits": "0.25",
                "occurred_at": (first + timedelta(seconds=3 * place)).isoformat(),
            }
        )
        + "\n"
        for place in range(NEW_EVENTS)
    )


# --- the report -----------------------------------------------------------------------------


def report(outcome: Mapping[str, Any]) -> None:
    """Print what was measured for people."""
    console = report_console()
    at = outcome["machine"]
    console.print(
        f"{outcome['events']:,} events; {at['cores']} cores ({at['processor']}), "
        f"{at['memory_gib']} GiB, load average {at['load_average']} before; {at['system']}, "
        f"Python {at['python']}, DuckDB {at['duckdb']}"
    )
    if pages := outcome.get("pages"):
        _show_pages(console, pages)
    if people := outcome.get("people"):
        _show_people(console, people)


def _show_pages(console: Console, pages: Mapping[str, Any]) -> None:
    table = Table(header_style="bold")
    table.add_column("page, everything visible")
    for name in ("s", "÷ hello", "queries", "their s", "share", "÷ bare"):
        table.add_column(name, justify="right")
    for name, visits in pages.items():
        for visit, each in visits.items():
            ratio = each["queries_to_bare"]
            table.add_row(
                f"{name}, {visit}",
                f"{each['seconds']:.2f}",
                f"{each['to_hello']:.2f}",
                f"{each['queries']:.0f}",
                f"{each['query_seconds']:.3f}",
                f"{each['share_of_queries']:.1%}",
                "–" if ratio is None else f"{ratio:.2f}",
            )
    console.print(table)


def _show_people(console: Console, people: Mapping[str, Any]) -> None:
    table = Table(header_style="bold")
    for name in (
        "people", "clicks", "p50 ms", "p95 ms", "errors", "renewals", "refreshes", "CPU",
        "CPU ms a click",
        "MB before", "at most", "after",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for each in people["crowds"]:
        table.add_row(
            str(each["people"]),
            f"{each['clicks']:,}",
            f"{each['p50_ms']:.0f}",
            f"{each['p95_ms']:.0f}",
            str(len(each["errors"])),
            f"{each['renewals']:,}",
            str(each["refreshes"]),
            f"{each['cpu_share']:.0%}",
            f"{each['cpu_ms_a_click']:.0f}",
            *(f"{each[f'{when}_bytes'] / 1e6:.0f}" for when in ("before", "peak", "after")),
        )
    console.print(table)
    for each in people["crowds"]:
        pages = ", ".join(f"{page} {ms:.0f} ({n})" for page, (n, ms) in each["by_page"].items())
        console.print(f"p95 ms of {each['people']} by page (clicks): {pages}")
        for error in each["errors"][:5]:
            console.print(f"error: {error}")
    console.print(f"p95 ÷ p95 of one person alone: {people['p95_to_alone']:.2f}")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
