"""The Dagster assets: raw tables, dbt models, checks, the published pointer."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject, dbt_assets
from pydantic import Field

from billing.alerts.running import run_alerts
from billing.store import open_store
from billing.usage_sums import open_lake
from expectations.catalogue import CHECKS
from expectations.runner import PreparedRunner
from ingest.load import LoadReport
from ingest.tables import TABLES
from orchestration.dbt_project import Translator, environment
from orchestration.loading import Loaded, load_files, load_landing
from orchestration.refreshing import (
    DBT_ARGUMENTS,
    RefreshPlan,
    check_build,
    dbt_check_results,
    dbt_environment,
    failure_text,
    newest_build,
    note_build,
    note_checks,
    plan_refresh,
    publish_build,
    read_run_results,
)
from orchestration.resources import Dbt
from warehouse.locks import writer_lock
from warehouse.priority import give_way
from warehouse.settings import load_settings

TOUCHED_ONLY = "meterhouse/touched_only"
"""Tag of a run whose day is only a record: what was touched is rebuilt, and nothing else.

A run without it (a backfill) rebuilds all days of its range.
"""

RAW_POOL, MARTS_POOL = "raw_writer", "marts_writer"

BUILD = dg.AssetKey("build")
"""What dbt wrote: a snapshot of the marts that is to be audited."""

PUBLISHED = dg.AssetKey("published")
"""The pointer to the newest build that passed its audit."""

TOLD = dg.AssetKey("told")
"""What was told of budgets, balances and spikes at the published snapshot."""


class LoadConfig(dg.Config):
    """What to load: files of a source, or, without a source, what waits in the landing folder."""

    source: str | None = None
    paths: list[str] = Field(default_factory=list)
    create_accounts: bool = False


class RefreshConfig(dg.Config):
    """How to refresh: ``full_checks`` tests all history in place of the touched days."""

    full_checks: bool = False


def raw_assets() -> dg.AssetsDefinition:
    """The tables of the raw lake, filled by the loader in one step."""

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(["raw", table], group_name="raw", kinds={"ducklake"}) for table in TABLES
        ],
        name="raw_tables",
        pool=RAW_POOL,
    )
    def raw_tables(
        context: dg.AssetExecutionContext, config: LoadConfig
    ) -> Iterator[dg.MaterializeResult[Any]]:
        settings = load_settings()
        if config.source:
            loaded = load_files(
                settings,
                config.source,
                [Path(path) for path in config.paths],
                create_accounts=config.create_accounts,
            )
        else:
            loaded = load_landing(settings)
        for file in loaded.usage.failures:
            context.log.warning(f"{file.path}: {file.message}")
        for problem in (*loaded.problems, *loaded.usage.warnings):
            context.log.warning(problem)
        for table in TABLES:
            yield dg.MaterializeResult(asset_key=["raw", table], metadata=load_metadata(loaded))

    return raw_tables


def load_metadata(loaded: Loaded) -> dict[str, Any]:
    """Counts of a load, as Dagster shows them."""

    def counts(prefix: str, report: LoadReport) -> dict[str, Any]:
        return {
            f"{prefix}files": len(report.files),
            f"{prefix}read": report.read,
            f"{prefix}loaded": report.loaded,
            f"{prefix}duplicate": report.duplicate,
            f"{prefix}rejected": report.rejected,
        }

    return counts("", loaded.usage) | counts("replayed_", loaded.replayed)


def requested_days(context: dg.AssetExecutionContext) -> tuple[date, date] | None:
    """The half-open range of days that a backfill asks to rebuild; None in a touched-only run."""
    if context.run.tags.get(TOUCHED_ONLY) or not context.has_partition_key_range:
        return None
    days = context.partition_key_range
    return date.fromisoformat(days.start), date.fromisoformat(days.end) + timedelta(days=1)


def dbt_models(project: DbtProject) -> dg.AssetsDefinition:
    """Every dbt model and seed, built and tested by one dbt process at a pinned raw snapshot."""

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=Translator(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=MARTS_POOL,
        name="dbt_models",
    )
    def models(context: dg.AssetExecutionContext, dbt: Dbt, config: RefreshConfig) -> Iterator[Any]:
        settings = load_settings()
        from_day, to_day = requested_days(context) or (None, None)
        plan = plan_refresh(
            settings, from_day=from_day, to_day=to_day, full_checks=config.full_checks
        )
        with writer_lock(settings, "marts"):
            yield from _build(context, dbt, plan)

    return models


def _build(context: dg.AssetExecutionContext, dbt: Dbt, plan: RefreshPlan) -> Iterator[Any]:
    settings = load_settings()
    # What dbt leaves behind (its log, compiled SQL) lies there until the next build.
    target = settings.home / "dbt"
    shutil.rmtree(target, ignore_errors=True)
    with environment(settings.environment() | dbt_environment(plan)):
        invocation = dbt.cli(
            DBT_ARGUMENTS, context=context, raise_on_error=False, target_path=target
        )
        give_way(invocation.process.pid)
        yield from invocation.stream()
    results = dbt_check_results(read_run_results(target))
    failed = [(r.check_name, r.message) for r in results if r.is_blocking]
    if not invocation.is_successful():
        note_checks(settings, results, raw_load_id=plan.raw_load_id)
        if failed:
            raise dg.Failure(failure_text(failed), allow_retries=False)
        raise dg.Failure(f"dbt could not build: {invocation.get_error()}")
    if not context.is_subset:
        build = note_build(settings, plan)
        note_checks(
            settings, results, marts_snapshot=build.marts_snapshot, raw_load_id=plan.raw_load_id
        )


def build_asset(models: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The build that the expectations audit: all models of one refresh as one snapshot.

    It stands between the models and the checks, because a check that blocks on a single model
    would cut dbt's one run in two.
    """

    @dg.asset(key=BUILD, deps=list(models.keys), group_name="published")
    def build() -> dg.MaterializeResult[Any]:
        newest = newest_build(load_settings())
        return dg.MaterializeResult(
            metadata={
                "build_id": newest.build_id,
                "marts_snapshot": newest.marts_snapshot,
                "raw_snapshot": newest.raw_snapshot,
                "raw_load_id": newest.raw_load_id,
            }
        )

    return build


def expectation_checks() -> dg.AssetChecksDefinition:
    """The expectations as checks of the build; those of severity error block publishing."""
    specs = [
        dg.AssetCheckSpec(
            check.name,
            asset=BUILD,
            description=f"{'.'.join(check.asset_key)}: {check.description}",
            blocking=check.severity == "error",
        )
        for check in CHECKS
    ]

    @dg.multi_asset_check(name="expectations", specs=specs, pool=MARTS_POOL)
    def expectations(
        config: RefreshConfig, checker: dg.ResourceParam[PreparedRunner]
    ) -> Iterator[dg.AssetCheckResult]:
        settings = load_settings()
        for result in check_build(
            settings, newest_build(settings), checker, full_checks=config.full_checks
        ):
            is_error = result.severity == "error"
            yield dg.AssetCheckResult(
                passed=result.is_passed,
                asset_key=BUILD,
                check_name=result.check_name,
                severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
                description=result.message,
            )

    return expectations


def published_asset() -> dg.AssetsDefinition:
    """The pointer, moved once every model is built and every blocking check has passed."""

    @dg.asset(key=PUBLISHED, deps=[BUILD], group_name="published", pool=MARTS_POOL)
    def published() -> dg.MaterializeResult[Any]:
        settings = load_settings()
        publication = publish_build(settings, newest_build(settings))
        return dg.MaterializeResult(
            metadata={
                "marts_snapshot": publication.marts_snapshot,
                "raw_snapshot": publication.raw_snapshot,
                "raw_load_id": publication.raw_load_id,
                "published_at": publication.published_at.isoformat(),
            }
        )

    return published


def told_asset() -> dg.AssetsDefinition:
    """Alerts and weekly reports: judged at the published snapshot, stored, and sent."""

    @dg.asset(key=TOLD, deps=[PUBLISHED], group_name="told")
    def told() -> dg.MaterializeResult[Any]:
        settings = load_settings()
        with open_store(settings) as store, open_lake(settings) as lake:
            run = run_alerts(settings, store, lake)
        sent = run.delivered
        return dg.MaterializeResult(
            metadata={
                "judged": run.judged,
                "changes": run.changes,
                "written": run.written,
                "sent": sent.sent,
                "failed": sent.failed,
                "given_up": sent.given_up,
            }
        )

    return told
