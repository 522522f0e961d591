"""Loading NDJSON: ours beside the bare engine and beside dlt, on the same file.

``python -m benchmarks.load`` (or ``make bench``). README.md says what is compared.
"""

import io
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.table import Table

from benchmarks.measuring import (
    Run,
    alternated,
    machine,
    paired_ratio,
    report_console,
    run_process,
    summary,
)
from ingest.sample import SINGLE_FILE, SampleSpec, sample_accounts, write_sample
from warehouse.settings import Settings, load_settings

AIM, BOUND, DLT_BOUND = 0.7, 0.5, 20.0
"""Our speed ÷ the bare engine's (aim, and least), and ÷ dlt's (least)."""

BARE, OURS, DLT = "bare", "meterhouse", "dlt"
NAMES = {
    BARE: "DuckDB, bare",
    OURS: "Meterhouse",
    DLT: "dlt into DuckDB",
}
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)


@click.command()
@click.option("--events", default=5_000_000, show_default=True, help="Rows of the file.")
@click.option("--dlt-events", default=100_000, show_default=True, help="Rows of dlt's slice of it.")
@click.option("--repeats", default=3, show_default=True, help="Pairs of bare engine and ours.")
@click.option("--full", is_flag=True, help="Lines with sessions, hashes and tags (350 bytes each).")
@click.option("--without-dlt", is_flag=True, help="Leave dlt out.")
@click.option("--strict", is_flag=True, help="End with status 1 when a bound is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the file is kept for the next time; <METERHOUSE_HOME>/benchmarks by default.",
)
@click.option("--case", hidden=True, type=click.Choice([BARE, OURS, DLT]))
@click.option("--input", "source", hidden=True, type=click.Path(path_type=Path))
@click.option("--work", hidden=True, type=click.Path(path_type=Path))
def main(
    events: int,
    dlt_events: int,
    repeats: int,
    full: bool,
    without_dlt: bool,
    strict: bool,
    as_json: bool,
    folder: Path | None,
    case: str | None,
    source: Path | None,
    work: Path | None,
) -> None:
    """Load an NDJSON file by the bare engine and by Meterhouse, and a slice of it by dlt."""
    if case:
        assert source and work
        click.echo(json.dumps(_CASES[case](source, work)))
        return
    settings = load_settings()
    folder = folder or settings.home / "benchmarks"
    file = ensure_file(folder, events, full, settings)
    outcome = compare(file, folder, events, None if without_dlt else dlt_events, repeats)
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        report(outcome)
    if strict and not outcome["is_within_bounds"]:
        sys.exit(1)


# --- the file -------------------------------------------------------------------------------


def spec_of(events: int, full: bool) -> SampleSpec:
    """The sample that is loaded: clean, one file, always the same."""
    return SampleSpec(events=events, until=UNTIL, clean=True, single_file=True, lean=not full)


def ensure_file(folder: Path, events: int, full: bool, settings: Settings) -> Path:
    """The generated file, made if it is not there yet."""
    file = folder / f"load-{events}{'-full' if full else ''}.ndjson"
    if not file.exists():
        _say(f"generating {events:,} events …")
        write_sample(spec_of(events, full), folder, memory=settings.memory)
        os.replace(folder / SINGLE_FILE, file)
    return file


def first_lines(file: Path, number: int, target: Path) -> int:
    """Copy the first lines of a file; returns how many there were."""
    with file.open("rb") as source, target.open("wb") as out:
        count = 0
        for line in itertools.islice(source, number):
            out.write(line)
            count += 1
    return count


# --- the contestants, each in a process of its own ------------------------------------------


def load_bare(source: Path, work: Path) -> dict[str, Any]:
    """What the engine does by itself: read, infer types, store in a DuckDB file."""
    settings = load_settings()
    config: dict[str, Any] = {"memory_limit": settings.memory, "temp_directory": str(work / "tmp")}
    if settings.threads:
        config["threads"] = settings.threads
    started = time.perf_counter()
    with duckdb.connect(str(work / "bare.duckdb"), config=config) as connection:
        name = str(source).replace("'", "''")
        connection.execute(f"create table usage_event as select * from read_json('{name}')")
        connection.execute("checkpoint")
        row = connection.execute("select count(*) from usage_event").fetchone()
    seconds = time.perf_counter() - started
    assert row is not None
    return {"rows": row[0], "seconds": seconds}


def prepare_home(home: Path) -> None:
    """A home with the sample's accounts, the rate card and the price list, but no usage."""
    from orchestration.commands.sample import declare
    from orchestration.loading import load_files

    settings = Settings(home=home)
    with redirect_stderr(io.StringIO()):
        declare(settings, sample_accounts(spec_of(1, False)))
    empty = home / "empty.ndjson"
    empty.write_bytes(b"")
    load_files(settings, "meterhouse", [empty])


def load_ours(source: Path, work: Path) -> dict[str, Any]:
    """What ``meterhouse load`` does, into a prepared home."""
    from orchestration.loading import load_files

    settings = Settings(home=work)
    started = time.perf_counter()
    loaded = load_files(settings, "meterhouse", [source])
    seconds = time.perf_counter() - started
    usage = loaded.usage
    if usage.loaded != usage.read or usage.rejected or usage.duplicate:
        raise RuntimeError(f"of {usage.read} clean rows only {usage.loaded} were loaded: {usage}")
    return {"rows": usage.loaded, "seconds": seconds}


def load_dlt(source: Path, work: Path) -> dict[str, Any]:
    """What dlt does with the same lines: read as JSON, normalise, load into a DuckDB file."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    from dlt.sources.filesystem import filesystem, read_jsonl

    started = time.perf_counter()
    files = filesystem(bucket_url=source.parent.as_uri(), file_glob=source.name)
    pipeline = dlt.pipeline(
        pipeline_name="load",
        pipelines_dir=str(work / "pipelines"),
        destination=dlt.destinations.duckdb(str(work / "dlt.duckdb")),
        dataset_name="usage",
    )
    pipeline.run((files | read_jsonl()).with_name("usage_event"))
    seconds = time.perf_counter() - started
    with duckdb.connect(str(work / "dlt.duckdb"), read_only=True) as connection:
        row = connection.execute("select count(*) from usage.usage_event").fetchone()
    assert row is not None
    return {"rows": row[0], "seconds": seconds}


_CASES: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    BARE: load_bare,
    OURS: load_ours,
    DLT: load_dlt,
}


# --- the comparison -------------------------------------------------------------------------


def compare(
    file: Path, folder: Path, events: int, dlt_events: int | None, repeats: int
) -> dict[str, Any]:
    """Run all contestants and put their numbers together, ready for JSON."""
    before = machine()
    if dlt_events and find_spec("dlt") is None:
        _say("dlt is not installed (pip install 'meterhouse[bench]'); left out")
        dlt_events = None
    with tempfile.TemporaryDirectory(dir=folder, prefix="work-") as scratch:
        base = Path(scratch)
        _read_once(file)
        runs: dict[str, list[Run]] = {BARE: [], OURS: [], DLT: []}
        for number, case in alternated([BARE, OURS], repeats):
            _say(f"pair {number + 1} of {repeats}: {case} …")
            runs[case].append(_run(case, file, base))
        if dlt_events:
            _say(f"dlt, {dlt_events:,} rows …")
            piece = base / "slice.ndjson"
            first_lines(file, dlt_events, piece)
            runs[DLT].append(_run(DLT, piece, base))
    for case, rows in ((BARE, events), (OURS, events)):
        if any(run.rows != rows for run in runs[case]):
            raise RuntimeError(f"{case} did not load {events} rows: {runs[case]}")
    middle, lowest, highest = paired_ratio(runs[OURS], runs[BARE])
    sums = {case: summary(found) for case, found in runs.items() if found}
    against_dlt = sums[OURS].rows_per_second / sums[DLT].rows_per_second if DLT in sums else None
    return {
        "machine": before,
        "file": {"rows": events, "bytes": file.stat().st_size},
        "results": [asdict(found) for found in sums.values()],
        "ours_to_bare": {"median": middle, "lowest": lowest, "highest": highest},
        "ours_to_dlt": against_dlt,
        "is_within_bounds": middle >= BOUND and (against_dlt is None or against_dlt >= DLT_BOUND),
    }


def _run(case: str, file: Path, base: Path) -> Run:
    work = base / "run"
    work.mkdir()
    try:
        if case == OURS:
            prepare_home(work)
        arguments = ["--case", case, "--input", str(file), "--work", str(work)]
        return run_process(case, "benchmarks.load", arguments)
    finally:
        shutil.rmtree(work)


def _read_once(file: Path) -> None:
    """Bring the file into the page cache, as far as it fits: no contestant pays for the disk."""
    with file.open("rb") as source:
        while source.read(1 << 24):
            pass


def report(outcome: dict[str, Any]) -> None:
    """Print the comparison for people."""
    console = report_console()
    at, file = outcome["machine"], outcome["file"]
    console.print(
        f"{at['cores']} cores ({at['processor']}), {at['memory_gib']} GiB, load average "
        f"{at['load_average']} before; {at['system']}, Python {at['python']}, DuckDB {at['duckdb']}"
    )
    console.print(f"file: {file['rows']:,} rows of NDJSON, {file['bytes'] / 1e9:.2f} GB")
    table = Table(header_style="bold")
    table.add_column("loaded by", overflow="fold")
    for name in ("rows", "runs", "seconds", "CPU s", "rows/s", "peak"):
        table.add_column(name, justify="right")
    for found in outcome["results"]:
        table.add_row(
            NAMES[found["case"]],
            f"{found['rows']:,}",
            str(found["runs"]),
            f"{found['seconds']:.1f}",
            f"{found['cpu_seconds']:.1f}",
            f"{found['rows_per_second']:,.0f}",
            f"{found['peak_bytes'] / 2**30:.2f} GiB",
        )
    console.print(table)
    ratio = outcome["ours_to_bare"]
    console.print(
        f"ours ÷ bare: {ratio['median']:.2f} (median of pairs, {ratio['lowest']:.2f} to "
        f"{ratio['highest']:.2f}; aim {AIM}, least {BOUND})"
    )
    if outcome["ours_to_dlt"] is not None:
        console.print(f"ours ÷ dlt: {outcome['ours_to_dlt']:.0f} (least {DLT_BOUND:.0f})")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
