"""A lake filled by hand and dbt run in this process: what the tests of the dbt project stand on."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner, dbtRunnerResult

from ingest.tables import ensure_tables
from orchestration.dbt_project import environment
from warehouse.lake import Connection, current_snapshot, reading_head, writing
from warehouse.publication import publish
from warehouse.settings import ROOT, Settings

Row = Mapping[str, Any]

LOAD: dict[str, Any] = {
    "kind": "file",
    "source": "meterhouse",
    "path": "usage.jsonl",
    "content_hash": "",
    "size_bytes": 0,
    "line_count": 0,
    "rows_read": 0,
    "rows_loaded": 0,
    "rows_duplicate": 0,
    "rows_rejected": 0,
    "started_at": datetime(2026, 11, 23, 12),
}
EVENT: dict[str, Any] = {
    "line_number": 1,
    "source": "meterhouse",
    "revision": 0,
    "is_withdrawn": False,
    "account_id": "acme",
    "agent_id": "scout",
    "category": "llm",
    "model": "gpt-4o",
    "execution_ms": 1000,
    "credits": 1,
    "input_tokens": 1000,
    "output_tokens": 100,
    "status": "ok",
}
TERM: dict[str, Any] = {
    "account_id": "acme",
    "effective_from": date(2026, 1, 1),
    "name": "Acme",
    "time_zone": "UTC",
    "currency": "EUR",
    "plan": "prepaid",
    "recorded_at": datetime(2026, 1, 1),
}
RATE: dict[str, Any] = {
    "unit": "call",
    "effective_from": datetime(2026, 1, 1),
    "recorded_at": datetime(2026, 1, 1),
}
GRANT: dict[str, Any] = {
    "account_id": "acme",
    "kind": "purchased",
    "credits": 10,
    "priority": 10,
    "effective_at": datetime(2026, 1, 1),
    "reason": "bought",
    "recorded_at": datetime(2026, 1, 1),
}
VOID: dict[str, Any] = {
    "cause": "void",
    "reason": "by mistake",
    "recorded_at": datetime(2026, 1, 1),
}


@dataclass
class Lab:
    """A home of its own; ``home`` must not be shared with anyone."""

    home: Path
    now: datetime | None = None
    """When the next batches are loaded (UTC, without a zone); noon of a fixed day by default."""

    @property
    def settings(self) -> Settings:
        """The settings of this home."""
        return Settings(home=self.home)

    def load(self, **tables: Sequence[Row]) -> int:
        """Add one batch of rows to the raw tables that are named, and return its load_id.

        Columns left out of an event, a term, a rate, a grant or a void have the defaults of this
        module; the UTC day of an event follows its ``occurred_at``.
        """
        with writing(self.settings, "raw") as connection:
            ensure_tables(connection)
            row = connection.execute(
                "select coalesce(max(load_id), 0) + 1 from raw.main.load"
            ).fetchone()
            assert row is not None
            load_id = int(row[0])
            connection.execute("begin")
            finished = self.now or (
                datetime(2026, 11, 23, 12) if load_id == 1 else datetime(2026, 11, 23, 12, load_id)
            )
            _insert(connection, "load", {**LOAD, "load_id": load_id, "finished_at": finished})
            for table, rows in tables.items():
                for number, given in enumerate(rows):
                    _insert(
                        connection,
                        table,
                        {"load_id": load_id, **_filled(table, number, load_id, given)},
                    )
            connection.execute("commit")
        return load_id

    def dbt(self, *arguments: str, succeeds: bool = True, **asked: object) -> dbtRunnerResult:
        """Run dbt in this process, from the project's root, on this home.

        ``asked`` is what the macro ``asked_for`` finds. The project is parsed once for all labs.
        """
        with self._environment(asked):
            result = dbtRunner().invoke(
                [
                    arguments[0],
                    "--project-dir", str(ROOT),
                    "--profiles-dir", str(ROOT),
                    "--target-path", str(_target()),
                    "--log-level-file", "none",
                    "--quiet",
                    *arguments[1:],
                ]
            )  # fmt: skip
        if succeeds:
            assert result.success, result.exception or failures(result)
        return result

    def build(self, **asked: object) -> dbtRunnerResult:
        """Build and test everything but the unit tests, as a refresh does."""
        return self.dbt("build", "--exclude-resource-type", "unit_test", **asked)

    def publish(self, load_id: int) -> None:
        """Move the published pointer to the newest marts, as holding batches up to ``load_id``."""
        head = reading_head(self.settings, "raw")
        raw_snapshot = current_snapshot(head, "raw")
        head.close()
        with writing(self.settings, "marts") as connection:
            publish(
                connection,
                marts_snapshot=current_snapshot(connection, "marts"),
                raw_snapshot=raw_snapshot,
                raw_load_id=load_id,
                published_at=datetime.now(UTC),
            )

    def refresh(self, **tables: Sequence[Row]) -> None:
        """Load a batch, build and publish."""
        load_id = self.load(**tables)
        self.build(raw_load_id=load_id)
        self.publish(load_id)

    @contextmanager
    def head(self) -> Iterator[Connection]:
        """A connection to the newest state of both lakes."""
        connection = reading_head(self.settings)
        try:
            yield connection
        finally:
            connection.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the newest state of both lakes."""
        with self.head() as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def _environment(self, asked: Mapping[str, object]) -> Iterator[None]:
        variables = {f"METERHOUSE_{name.upper()}": str(value) for name, value in asked.items()}
        with environment({"METERHOUSE_HOME": str(self.home), **variables}), chdir(ROOT):
            yield


@cache
def _target() -> Path:
    """Where dbt keeps the project it parsed, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="meterhouse-target-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def failures(result: dbtRunnerResult) -> str:
    """What went wrong in a dbt run, one line a node."""
    nodes = getattr(result.result, "results", None) or []
    return "\n".join(
        f"{node.node.name}: {node.message}" for node in nodes if node.status in ("error", "fail")
    )


def _filled(table: str, number: int, load_id: int, given: Row) -> dict[str, Any]:
    if table == "usage_event":
        row = {**EVENT, **given}
        return {"usage_date_utc": row["occurred_at"].date(), "identity_hash": 0, **row}
    if table == "usage_supersession":
        return {
            "source": EVENT["source"],
            "identity_hash": 0,
            "revision": 0,
            "superseded_by": 1,
            **given,
        }
    if table == "account_term":
        return {"term_id": load_id * 1000 + number, **TERM, **given}
    if table == "rate":
        return {"rate_id": load_id * 1000 + number, **RATE, **given}
    if table == "credit_grant":
        name = load_id * 1000 + number
        return {"grant_id": name, "reference": f"grant {name}", **GRANT, **given}
    if table == "credit_void":
        return {"void_id": load_id * 1000 + number, **VOID, **given}
    return dict(given)


def _insert(connection: Connection, table: str, row: Row) -> None:
    columns = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    connection.execute(
        f"insert into raw.main.{table} ({columns}) values ({marks})", list(row.values())
    )
