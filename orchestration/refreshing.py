"""Write, audit, publish: what a refresh decides (pure) and does (at the edge).

The Dagster assets call these functions one after the other; nothing here knows Dagster.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from expectations.runner import PreparedRunner
from warehouse.errors import MeterhouseError
from warehouse.lake import (
    RAW_SNAPSHOT,
    Connection,
    catalog_exists,
    current_snapshot,
    reading_head,
    table_exists,
    writing,
)
from warehouse.locks import HELD_BY_PARENT
from warehouse.parents import as_parent
from warehouse.publication import (
    Build,
    CheckResult,
    Publication,
    latest_build,
    latest_publication,
    publish,
    record_build,
    record_checks,
)
from warehouse.settings import Settings


@dataclass(frozen=True)
class RefreshPlan:
    """What a refresh reads and rebuilds.

    ``raw_snapshot`` and ``raw_load_id`` pin the raw lake; ``from_day`` and ``to_day`` (exclusive)
    name UTC days to rebuild besides those that were touched.
    """

    raw_snapshot: int
    raw_load_id: int
    from_day: date | None = None
    to_day: date | None = None
    full_checks: bool = False


def plan_refresh(
    settings: Settings,
    *,
    from_day: date | None = None,
    to_day: date | None = None,
    full_checks: bool = False,
) -> RefreshPlan:
    """Pin the raw lake as it is now. Raises MeterhouseError when there is nothing to build from."""
    if (from_day is None) != (to_day is None):
        raise MeterhouseError("give both --from and --to, or neither")
    if from_day and to_day and from_day >= to_day:
        raise MeterhouseError(f"--from {from_day} must lie before --to {to_day} (exclusive)")
    if not catalog_exists(settings, "raw"):
        raise MeterhouseError(
            "there is no usage yet: load some with `meterhouse load`, or try `meterhouse sample`"
        )
    connection = reading_head(settings, "raw")
    try:
        connection.execute("begin")
        snapshot = current_snapshot(connection, "raw")
        row = connection.execute("select max(load_id) from raw.main.load").fetchone()
        connection.execute("commit")
    finally:
        connection.close()
    if row is None or row[0] is None:
        raise MeterhouseError("nothing was loaded yet: load usage with `meterhouse load`")
    return RefreshPlan(snapshot, int(row[0]), from_day, to_day, full_checks)


def touched_range(settings: Settings) -> tuple[date, date] | None:
    """First and last UTC day that batches above the published one touch, or None.

    Dagster records a refresh under the last of them; which days are rewritten is decided in dbt.
    """
    connection = reading_head(settings)
    try:
        published = 0
        if catalog_exists(settings, "marts"):
            publication = latest_publication(connection)
            published = publication.raw_load_id if publication else 0
        if not table_exists(connection, "raw.main.usage_event"):
            return None
        row = connection.execute(
            """
            select min(day), max(day)
            from (
                select usage_date_utc as day from raw.main.usage_event where load_id > $1
                union all
                select usage_date_utc from raw.main.usage_supersession where load_id > $1
            )
            """,
            [published],
        ).fetchone()
    finally:
        connection.close()
    return (row[0], row[1]) if row and row[0] else None


DBT_ARGUMENTS = ("build", "--exclude-resource-type", "unit_test")
"""The arguments of the dbt process of a refresh. They are always the same, as other ones would
make dbt parse the project anew; what differs comes by the environment.
"""


def dbt_environment(plan: RefreshPlan) -> dict[str, str]:
    """Variables for the dbt process of ``plan``, whose parent holds the builder's lock for it."""
    return {
        RAW_SNAPSHOT: str(plan.raw_snapshot),
        HELD_BY_PARENT: "marts",
        **as_parent(),
        "METERHOUSE_RAW_LOAD_ID": str(plan.raw_load_id),
        "METERHOUSE_FROM_DAY": plan.from_day.isoformat() if plan.from_day else "",
        "METERHOUSE_TO_DAY": plan.to_day.isoformat() if plan.to_day else "",
        "METERHOUSE_FULL_CHECKS": "true" if plan.full_checks else "",
    }


def dbt_check_results(run_results: Mapping[str, Any]) -> list[CheckResult]:
    """The data tests and failed models of dbt's ``run_results.json`` as check results."""
    results = []
    for result in run_results["results"]:
        kind, _, name = str(result["unique_id"]).split(".")[:3]
        status = result["status"]
        is_failed_model = kind != "test" and status == "error"
        if kind != "test" and not is_failed_model:
            continue
        if status == "skipped":
            continue
        results.append(
            CheckResult(
                suite="dbt",
                check_name=name,
                severity="warn" if status == "warn" else "error",
                is_passed=status == "pass",
                failing_rows=result.get("failures"),
                message=" ".join(str(result.get("message") or "").split()),
            )
        )
    return results


def note_build(settings: Settings, plan: RefreshPlan) -> Build:
    """Record that dbt built ``plan`` whole. Call it under the builder's lock."""
    with writing(settings, "marts") as connection:
        return record_build(
            connection,
            raw_snapshot=plan.raw_snapshot,
            raw_load_id=plan.raw_load_id,
            built_at=datetime.now(UTC),
        )


def note_checks(
    settings: Settings,
    results: Sequence[CheckResult],
    *,
    marts_snapshot: int | None = None,
    raw_load_id: int,
) -> None:
    """Store check results; without ``marts_snapshot`` they are about what dbt left behind."""
    with writing(settings, "marts") as connection:
        record_checks(
            connection,
            results,
            marts_snapshot=marts_snapshot or current_snapshot(connection, "marts"),
            raw_load_id=raw_load_id,
            checked_at=datetime.now(UTC),
        )


def newest_build(settings: Settings) -> Build:
    """The newest build. Raises MeterhouseError before the first."""
    if catalog_exists(settings, "marts"):
        connection = reading_head(settings, "marts")
        try:
            build = latest_build(connection)
        finally:
            connection.close()
        if build:
            return build
    raise MeterhouseError("nothing was built yet: run `meterhouse refresh`")


def check_build(
    settings: Settings, build: Build, runner: PreparedRunner, *, full_checks: bool
) -> list[CheckResult]:
    """Run the expectations on a build, in their own process, and store the results."""
    results = runner.run(
        marts_snapshot=build.marts_snapshot,
        raw_snapshot=build.raw_snapshot,
        raw_load_id=build.raw_load_id,
        everything=full_checks,
    )
    note_checks(
        settings, results, marts_snapshot=build.marts_snapshot, raw_load_id=build.raw_load_id
    )
    return results


def publish_build(settings: Settings, build: Build) -> Publication:
    """Move the pointer to ``build``.

    Raises MeterhouseError when it was not checked, or a blocking check failed on it.
    """
    with writing(settings, "marts") as connection:
        failed = _blocking_failures(connection, build)
        if failed is None:
            raise MeterhouseError("the build was not checked; run `meterhouse refresh` again")
        if failed:
            raise MeterhouseError(failure_text(failed))
        before = latest_publication(connection)
        if before and before.marts_snapshot >= build.marts_snapshot:
            return before
        return publish(
            connection,
            marts_snapshot=build.marts_snapshot,
            raw_snapshot=build.raw_snapshot,
            raw_load_id=build.raw_load_id,
            published_at=datetime.now(UTC),
        )


def failure_text(failed: Sequence[tuple[str, str]]) -> str:
    """Why a refresh was not published, a line a failed check (name, message)."""
    lines = [f"  {name}: {message}" for name, message in failed]
    return (
        "not published, because these checks failed (the last good snapshot stays):\n"
        + "\n".join(lines)
    )


def _blocking_failures(connection: Connection, build: Build) -> list[tuple[str, str]] | None:
    """Name and message of each failed error check of a build; None if it has no results."""
    rows = connection.execute(
        "select check_name, message, severity = 'error' and not is_passed"
        " from marts.meta.check_result where marts_snapshot = ? order by suite, check_name",
        [build.marts_snapshot],
    ).fetchall()
    if not rows:
        return None
    return [(name, message) for name, message, is_blocking in rows if is_blocking]


def read_run_results(target: Path) -> dict[str, Any]:
    """Dbt's ``run_results.json`` in its target folder, or none if it did not come that far."""
    file = target / "run_results.json"
    if not file.exists():
        return {"results": []}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
