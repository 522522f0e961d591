"""Any way of loading a log, with refreshes in between, ends in the same marts.

An example takes seconds, so a usual run tries few of them, and shows one that fails as it is.
METERHOUSE_EXAMPLES=100 tries more, and looks for the simplest that fails.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.accounts import add_account
from billing.rate_card import make_rate
from billing.rates import add_rates
from billing.store import open_store
from ingest.load import LoadReport
from orchestration.loading import load_landing
from orchestration.refreshing import plan_refresh
from tests.integration.dbt_lab import Lab
from tests.integration.loading_lab import event, lines

FEW = 2
EXAMPLES = int(os.environ.get("METERHOUSE_EXAMPLES", FEW))

ZONES = {"acme": "Europe/Berlin", "east": "Pacific/Kiritimati", "west": "America/Los_Angeles"}
LATE = "late"
"""An account that is declared only after its usage was logged."""

TOLD_BY_LOADS = {
    *("load_id", "line_number", "last_loaded_at", "as_of", "raw_load_id", "prices_load_id"),
    *("load_kind", "load_path", "loaded_at"),
}
"""Columns that say how a log was loaded, not what was in it; ``dim_load`` says nothing else."""

BROKEN = (b"{oops\n", b"\n", lines(event("z", credits=-1)), lines(event("z", category="poem")))

Row = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A file that arrives or grows, and what happens after it."""

    rows: Sequence[Row]
    noise: bytes
    grows: bool
    declares: bool
    refreshes: bool


@dataclass(frozen=True)
class Log:
    """A log as a whole and one way in which it may arrive."""

    rows: list[Row]
    steps: list[Step]


MOMENTS = st.builds(
    lambda day, time: f"{day}T{time}Z",
    # The end of a month, and of summer time in Europe and in America; a day all by itself.
    st.sampled_from(["2025-10-25", "2025-10-26", "2025-10-31", "2025-11-01", "2025-12-24"]),
    st.sampled_from(["00:30:00", "06:59:59", "07:00:00", "10:00:00", "22:15:00", "23:30:00"]),
)
CONTENTS = st.fixed_dictionaries(
    {
        "account_id": st.sampled_from([*ZONES, LATE]),
        "agent_id": st.sampled_from(["scout", "writer", "ghost"]),
        "category": st.sampled_from(["llm", "sql", "image"]),
        "model": st.sampled_from(["gpt-4o", "phantom", None]),
        "occurred_at": MOMENTS,
        "credits": st.none() | st.integers(0, 10**10).map(lambda nano: nano / 10**9),
        "input_tokens": st.integers(0, 5000),
        "output_tokens": st.integers(0, 500),
        "execution_ms": st.integers(0, 9000),
        "status": st.sampled_from(["ok", "ok", "error"]),
    }
)
HISTORIES = st.lists(
    st.tuples(CONTENTS, st.sampled_from([False, False, True])), min_size=1, max_size=4
)
"""What became of one event: its revisions, each of which may withdraw it."""


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """A log in which events are corrected, moved and withdrawn, and a way to load it in pieces."""
    rows = [
        event(f"e{number}", **content, revision=revision, withdrawn=is_withdrawn)
        for number, history in enumerate(draw(st.lists(HISTORIES, min_size=6, max_size=20)))
        for revision, (content, is_withdrawn) in enumerate(history)
    ]
    repeats = draw(st.lists(st.sampled_from(rows), max_size=6))
    shuffled = draw(st.permutations(rows + repeats))
    cuts = sorted(draw(st.lists(st.integers(0, len(shuffled)), min_size=1, max_size=4)))
    declared_at = draw(st.integers(0, len(cuts)))
    steps = [
        Step(
            rows=shuffled[begin:end],
            noise=b"".join(draw(st.lists(st.sampled_from(BROKEN), max_size=2))),
            grows=draw(st.booleans()),
            declares=number == declared_at,
            refreshes=number == len(cuts) or draw(st.booleans()),
        )
        for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(shuffled)], strict=True))
    ]
    return Log(rows, steps)


class Home:
    """One folder that is made anew for each way of loading: dbt then reads its project once."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder / "home")
        self._fresh = folder / "fresh"
        with open_store(self.lab.settings) as store:
            for account, zone in ZONES.items():
                add_account(store, account, time_zone=zone)
            add_rates(
                store,
                [
                    make_rate("sql", None, "call", "0.25", "2025-01-01"),
                    make_rate("llm", "gpt-4o", "input_token", "0.001", "2025-10-26"),
                ],
            )
        load_landing(self.lab.settings)
        self.refresh()
        shutil.copytree(self.lab.home, self._fresh)

    def begin_anew(self) -> None:
        """Back to declared accounts, rates and prices, and no usage."""
        shutil.rmtree(self.lab.home)
        shutil.copytree(self._fresh, self.lab.home)

    def declare(self) -> None:
        """Declare the account that nobody had declared."""
        with open_store(self.lab.settings) as store:
            add_account(store, LATE, time_zone="Asia/Tokyo")

    def load(self, name: str, content: bytes) -> LoadReport:
        """Load what a file of the landing folder holds now; nothing is lost on the way."""
        file = self.lab.settings.landing_folder / "meterhouse" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        # Written long ago: its last line is whole.
        os.utime(file, (1_000_000_000, 1_000_000_000 + len(content)))
        loaded = load_landing(self.lab.settings)
        for report in (loaded.usage, loaded.replayed):
            assert report.read == report.loaded + report.duplicate + report.rejected
        return loaded.usage

    def refresh(self, *, with_tests: bool = True) -> None:
        """Build what was loaded, test it if asked to, and publish it."""
        load_id = plan_refresh(self.lab.settings).raw_load_id
        left_out = ["unit_test"] if with_tests else ["unit_test", "test"]
        self.lab.dbt(
            "build",
            "--no-write-json",
            *(f"--exclude-resource-type={kind}" for kind in left_out),
            raw_load_id=load_id,
        )
        self.lab.publish(load_id)

    def marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every mart that is stored, in order; views only tell what these hold."""
        columns: dict[str, list[str]] = {}
        with self.lab.head() as connection:
            for table, column in connection.execute(
                "select table_name, column_name from information_schema.columns"
                " join information_schema.tables using (table_catalog, table_schema, table_name)"
                " where table_catalog = 'marts' and table_schema = 'main'"
                " and table_type = 'BASE TABLE'"
                " and table_name not like 'int_%' and table_name <> 'dim_load'"
                " order by table_name, ordinal_position"
            ).fetchall():
                if column not in TOLD_BY_LOADS:
                    columns.setdefault(table, []).append(column)
            return {
                table: connection.execute(
                    f"select {', '.join(names)} from marts.main.{table} order by all"
                ).fetchall()
                for table, names in columns.items()
            }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("ways"))


def load_whole(home: Home, log: Log) -> dict[str, list[tuple[Any, ...]]]:
    home.begin_anew()
    home.declare()
    assert home.load("whole.ndjson", lines(*log.rows)).read == len(log.rows)
    home.refresh(with_tests=False)
    return home.marts()


def load_in_pieces(home: Home, log: Log) -> dict[str, list[tuple[Any, ...]]]:
    home.begin_anew()
    name, content = "0.ndjson", b""
    for number, step in enumerate(log.steps):
        if not step.grows:
            name, content = f"{number}.ndjson", b""
        content += step.noise + lines(*step.rows)
        home.load(name, content)
        if step.declares:
            home.declare()
        if step.refreshes:
            load_landing(home.lab.settings)
            home.refresh(with_tests=number + 1 == len(log.steps))
    return home.marts()


@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= FEW,
    phases=[Phase.generate] if EXAMPLES <= FEW else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(log=logs())
def test_any_way_of_loading_a_log_ends_in_the_same_marts(home: Home, log: Log) -> None:
    whole = load_whole(home, log)
    pieces = load_in_pieces(home, log)
    assert {"fct_usage", "fct_usage_daily", "fct_usage_monthly", "fct_credit_posting"} <= set(whole)
    for mart, rows in whole.items():
        assert pieces[mart] == rows, mart
