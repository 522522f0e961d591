"""What a refresh decides: arguments, variables, the meaning of dbt's results."""

import os
from datetime import date
from pathlib import Path

import pytest

from orchestration.refreshing import (
    DBT_ARGUMENTS,
    RefreshPlan,
    dbt_check_results,
    dbt_environment,
    failure_text,
    plan_refresh,
)
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

PLAN = RefreshPlan(raw_snapshot=12, raw_load_id=5)


def test_a_refresh_builds_without_unit_tests() -> None:
    assert DBT_ARGUMENTS == ("build", "--exclude-resource-type", "unit_test")


def test_dbt_reads_raw_at_the_pinned_snapshot_and_batch_under_its_parents_lock() -> None:
    assert dbt_environment(PLAN) == {
        "METERHOUSE_RAW_SNAPSHOT": "12",
        "METERHOUSE_LOCK_HELD": "marts",
        "METERHOUSE_PARENT": str(os.getpid()),
        "METERHOUSE_RAW_LOAD_ID": "5",
        "METERHOUSE_FROM_DAY": "",
        "METERHOUSE_TO_DAY": "",
        "METERHOUSE_FULL_CHECKS": "",
    }


def test_a_backfill_names_its_days_half_open() -> None:
    asked = dbt_environment(RefreshPlan(12, 5, date(2026, 1, 1), date(2026, 2, 1)))
    assert asked["METERHOUSE_FROM_DAY"] == "2026-01-01"
    assert asked["METERHOUSE_TO_DAY"] == "2026-02-01"


def test_the_nightly_run_checks_all_history() -> None:
    asked = dbt_environment(RefreshPlan(12, 5, full_checks=True))
    assert asked["METERHOUSE_FULL_CHECKS"] == "true"


def test_failed_tests_and_models_become_failed_checks() -> None:
    def result(unique_id: str, status: str, failures: int | None = None) -> dict[str, object]:
        return {
            "unique_id": unique_id,
            "status": status,
            "failures": failures,
            "message": "Got\n 3 results",
        }

    results = dbt_check_results(
        {
            "results": [
                result("model.meterhouse.fct_usage", "success"),
                result("model.meterhouse.dim_agent", "error"),
                result("model.meterhouse.rpt_account", "skipped"),
                result("test.meterhouse.keys_are_unique.1a2b", "fail", 3),
                result("test.meterhouse.days_are_recent.3c4d", "warn", 1),
                result("test.meterhouse.sums_agree.5e6f", "pass", 0),
            ]
        }
    )
    assert [(r.check_name, r.severity, r.is_passed, r.is_blocking) for r in results] == [
        ("dim_agent", "error", False, True),
        ("keys_are_unique", "error", False, True),
        ("days_are_recent", "warn", False, False),
        ("sums_agree", "error", True, False),
    ]
    assert results[1].message == "Got 3 results"


def test_a_failed_refresh_says_which_checks_failed_and_what_stays() -> None:
    text = failure_text([("sums_agree", "3 rows differ")])
    assert "sums_agree: 3 rows differ" in text
    assert "last good snapshot stays" in text


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ({"from_day": date(2026, 1, 1)}, "both --from and --to"),
        ({"from_day": date(2026, 2, 1), "to_day": date(2026, 1, 1)}, "must lie before"),
        ({}, "no usage yet"),
    ],
)
def test_a_refresh_that_makes_no_sense_is_refused(
    tmp_path: Path, days: dict[str, date], message: str
) -> None:
    with pytest.raises(MeterhouseError, match=message):
        plan_refresh(Settings(home=tmp_path), **days)
