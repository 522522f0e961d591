"""What Dagster is told: assets, checks, partitions, jobs, schedules, sensors."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from expectations.catalogue import CHECKS
from ingest.landing import WaitingFile
from ingest.tables import TABLES
from orchestration.automation import landing_key
from orchestration.dbt_project import is_stale
from orchestration.definitions import definitions


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return definitions().get_repository_def()


def test_every_raw_table_model_and_step_of_publishing_is_an_asset(
    repository: dg.RepositoryDefinition,
) -> None:
    keys = {key.to_user_string() for key in repository.assets_defs_by_key}
    assert {f"raw/{table}" for table in TABLES} <= keys
    assert {"fct_usage", "fct_usage_daily", "dim_account", "rpt_overview_month"} <= keys
    assert {"build", "published"} <= keys


def test_models_have_daily_partitions_that_a_backfill_does_in_one_run(
    repository: dg.RepositoryDefinition,
) -> None:
    models = repository.assets_defs_by_key[dg.AssetKey("fct_usage")]
    assert isinstance(models.partitions_def, dg.DailyPartitionsDefinition)
    assert models.backfill_policy == dg.BackfillPolicy.single_run()
    today = datetime.now(UTC).date().isoformat()
    assert models.partitions_def.get_last_partition_key() == today


def test_every_expectation_is_a_check_and_errors_block(
    repository: dg.RepositoryDefinition,
) -> None:
    specs = {
        spec.name: spec.blocking
        for checks in repository.asset_checks_defs_by_key.values()
        for spec in checks.check_specs
    }
    for check in CHECKS:
        assert specs[check.name] == (check.severity == "error"), check.name


def test_jobs_schedules_and_sensors_are_on(repository: dg.RepositoryDefinition) -> None:
    assert {"load", "refresh", "settle", "upkeep"} <= {
        job.name for job in repository.get_all_jobs()
    }
    assert {
        (schedule.name, schedule.cron_schedule, schedule.default_status.value)
        for schedule in repository.schedule_defs
    } == {
        ("hourly_load", "0 * * * *", "RUNNING"),
        ("nightly_full_checks", "30 2 * * *", "RUNNING"),
        ("nightly_upkeep", "30 3 * * *", "RUNNING"),
        ("settle_purchases", "*/10 * * * *", "RUNNING"),
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "landing_sensor",
        "refresh_sensor",
    }


def test_a_landing_file_that_changed_asks_for_a_new_run(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    file.write_text("a\n")
    waiting = [WaitingFile("meterhouse", file)]
    before = landing_key(waiting)
    assert landing_key(waiting) == before
    file.write_text("a\nb\n")
    assert landing_key(waiting) != before


def test_a_manifest_is_stale_once_a_file_of_the_project_is_newer(tmp_path: Path) -> None:
    model, manifest = tmp_path / "model.sql", tmp_path / "manifest.json"
    model.write_text("select 1")
    assert is_stale(manifest, [model])
    manifest.write_text("{}")
    assert not is_stale(manifest, [model])
