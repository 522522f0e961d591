"""What Dagster is told: assets, checks, partitions, jobs, schedules, sensors."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from billing.accounts import add_account
from billing.gateways.demo import DemoGateway
from billing.packages import add_sample_offers, list_offers
from billing.purchases import purchase_history, start_purchase
from billing.store import open_store
from expectations.catalogue import CHECKS
from ingest.landing import WaitingFile
from ingest.tables import TABLES
from orchestration.automation import landing_key, settle_job, settle_purchases
from orchestration.dbt_project import is_stale
from orchestration.definitions import definitions
from warehouse.settings import load_settings


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return definitions().get_repository_def()


def test_every_raw_table_model_and_step_of_publishing_is_an_asset(
    repository: dg.RepositoryDefinition,
) -> None:
    keys = {key.to_user_string() for key in repository.assets_defs_by_key}
    assert {f"raw/{table}" for table in TABLES} <= keys
    assert {"fct_usage", "fct_usage_daily", "dim_account", "rpt_overview_month"} <= keys
    assert {"build", "published", "told"} <= keys


def test_models_have_daily_partitions_that_a_backfill_does_in_one_run(
    repository: dg.RepositoryDefinition,
) -> None:
    models = repository.assets_defs_by_key[dg.AssetKey("fct_usage")]
    assert isinstance(models.partitions_def, dg.DailyPartitionsDefinition)
    assert models.backfill_policy == dg.BackfillPolicy.single_run()
    before = datetime.now(UTC).date().isoformat()
    last = models.partitions_def.get_last_partition_key()
    assert before <= str(last) <= datetime.now(UTC).date().isoformat()


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
    assert {"alerts", "load", "refresh", "settle", "upkeep", "close_month"} <= {
        job.name for job in repository.get_all_jobs()
    }
    assert {
        (schedule.name, schedule.cron_schedule, schedule.default_status.value)
        for schedule in repository.schedule_defs
    } == {
        ("alerts_schedule", "*/10 * * * *", "RUNNING"),
        ("hourly_load", "0 * * * *", "RUNNING"),
        ("nightly_full_checks", "30 2 * * *", "RUNNING"),
        ("nightly_upkeep", "30 3 * * *", "RUNNING"),
        ("settle_purchases", "*/10 * * * *", "RUNNING"),
        ("close_last_month", "0 5 * * *", "RUNNING"),
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "alerts_sensor",
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


def test_the_sweeps_job_gives_the_credits_of_a_payment_whose_webhook_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPERATIONS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "PAYMENTS"):
        monkeypatch.setenv(f"METERHOUSE_{name}", "")
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))

    def asked(minute: int) -> bool:
        at = datetime(2026, 11, 25, 12, minute, tzinfo=UTC)
        context = dg.build_schedule_context(scheduled_execution_time=at)
        return bool(settle_purchases.evaluate_tick(context).run_requests)

    settings = load_settings()
    now = datetime.now(UTC)
    with open_store(settings) as store:
        assert not asked(0)
        add_account(store, "acme", currency="EUR")
        add_sample_offers(store, {"EUR"}, now=now)
        offer = list_offers(store)[0].offer_id
        demo = DemoGateway(settings)
        start_purchase(store, demo, "acme", offer, "click", "http://127.0.0.1/return")
        demo.pay(str(purchase_history(store, "acme")[0].session_id))
        assert asked(10)
        assert settle_job.execute_in_process().success
        assert purchase_history(store, "acme")[0].state == "paid"
        assert (asked(10), asked(0)) == (False, True)
