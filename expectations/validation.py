"""Great Expectations at work. Import this in a process of its own: it takes seconds."""

import os
from collections.abc import Sequence
from itertools import groupby
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import great_expectations.expectations as gxe
from duckdb_sqlalchemy import ConnectionWrapper
from great_expectations.data_context.types.base import ProgressBarsConfig

from expectations.catalogue import CHECKS
from expectations.check import Check, rows_as_text
from expectations.tables import Scope, open_scope
from warehouse.lake import Connection
from warehouse.publication import CheckResult
from warehouse.settings import Settings

ROWS = "UnexpectedRowsExpectation"
_FAILURE_SEVERITY = {"error": "critical", "warn": "warning"}


def run_checks(
    settings: Settings, scope: Scope, checks: Sequence[Check] = CHECKS
) -> list[CheckResult]:
    """Evaluate checks on the pinned state, in their order.

    A check that cannot be evaluated counts as failed and says why. Raises MeterhouseError when
    the state cannot be read at all.
    """
    connection = open_scope(settings, scope)
    try:
        return validate(connection, checks)
    finally:
        connection.close()


def validate(connection: Connection, checks: Sequence[Check]) -> list[CheckResult]:
    """Evaluate checks on the tables of ``connection``, in their order."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_sql(  # type: ignore[call-arg]
        name="lake",
        connection_string="duckdb:///:memory:",
        kwargs={
            "creator": lambda: ConnectionWrapper(connection.cursor()),
            "pool_reset_on_return": None,
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
        },
    )
    found: dict[str, CheckResult] = {}
    by_table = sorted(checks, key=_group)
    for (table, has_rows), group in groupby(by_table, key=_group):
        declared = {check.name: check for check in group}
        asset = source.add_table_asset(name=f"{table} {has_rows}", table_name=table)
        batch = asset.add_batch_definition_whole_table("whole").get_batch()
        suite = gx.ExpectationSuite(
            name=asset.name, expectations=[_expectation(check) for check in declared.values()]
        )
        outcome = batch.validate(
            suite,
            result_format={
                "result_format": "COMPLETE" if has_rows else "BASIC",
                "partial_unexpected_count": 4,
            },
        )
        for result in outcome.results:
            name = _name(result)
            found[name] = _result(declared[name], result)
    return [found[check.name] for check in checks]


def _group(check: Check) -> tuple[str, bool]:
    return (check.table, check.expectation == ROWS)


def _expectation(check: Check) -> Any:
    make = getattr(gxe, check.expectation)
    return make(
        **check.arguments,
        severity=_FAILURE_SEVERITY[check.severity],
        meta={"name": check.name},
    )


def _name(outcome: Any) -> str:
    return str(outcome.expectation_config.meta["name"])


def _result(check: Check, outcome: Any) -> CheckResult:
    failing, message = _failure(check, outcome)
    return CheckResult(
        suite=check.suite,
        check_name=check.name,
        severity=check.severity,
        is_passed=bool(outcome.success),
        failing_rows=failing,
        message=message,
    )


def _failure(check: Check, outcome: Any) -> tuple[int | None, str]:
    raised = _exception(outcome.exception_info)
    if raised:
        return None, f"could not be evaluated: {raised}"
    result = outcome.result
    # Of a table without rows, GX counts nothing rather than zero.
    if check.expectation == ROWS:
        failing = int(result["observed_value"] or 0)
        examples = result["details"]["unexpected_rows"]
    else:
        failing = int(result["unexpected_count"] or 0)
        examples = result["partial_unexpected_list"]
        column = check.arguments.get("column")
        examples = [{column: value} for value in examples] if column else examples
    if outcome.success:
        return 0, "ok"
    noun = "row" if failing == 1 else "rows"
    return failing, f"{failing} {noun}: {rows_as_text(examples)}"


def _exception(info: Any) -> str | None:
    """What was raised, if anything. GX reports one exception, or one a metric."""
    if not info:
        return None
    reports = [info] if "raised_exception" in info else list(info.values())
    messages = [
        str(report.get("exception_message")) for report in reports if report.get("raised_exception")
    ]
    return "; ".join(messages) if messages else None
