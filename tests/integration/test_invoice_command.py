"""``meterhouse invoices`` and the monthly job: results on stdout, messages on stderr."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from billing.invoices.issued import list_issued, undrawn
from billing.store import open_store
from orchestration.closing_job import close_last_month, close_month_job, month_before
from orchestration.commands.invoices import invoices
from tests.integration.invoice_lab import build_lakes, fill_store
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("METERHOUSE_OPERATIONS_URL", "")


@pytest.fixture
def instance() -> None:
    settings = load_settings()
    build_lakes(settings, 3)
    with open_store(settings) as store:
        fill_store(store, 2)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(invoices, arguments)


def answered(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_without_an_issuer_or_data_a_close_says_what_is_missing() -> None:
    assert "meterhouse refresh" in str(run("close", "2026-10").exception)
    made = run(
        "issuer", "--name", "Acme", "--street", "s", "--postcode", "1", "--city", "c",
        "--country", "de", "--tax-id", "DE123456789", "--email", "a@b.example",
    )  # fmt: skip
    assert "country: DE" in made.stdout
    assert run("issuer").stdout == made.stdout
    assert run("tax-rate", "DE", "19").stderr == "DE: 19 % from 1970-01-01\n"
    nobody = run(
        "recipient", "nobody", "--name", "x", "--street", "x", "--postcode", "x", "--city", "x",
        "--country", "DE",
    )  # fmt: skip
    assert "no account nobody" in str(nobody.exception)
    assert "is no month" in str(run("close", "October").exception)
    assert "nothing was issued" in run("list").stderr


@pytest.mark.usefixtures("instance")
def test_a_month_is_tried_closed_listed_and_shown(tmp_path: Path) -> None:
    tried = answered("close", "2026-10", "--dry-run")
    assert [draft["account_id"] for draft in tried["drafts"]] == ["a001", "a002"]
    assert answered("list") == []
    closed = run("close", "2026-10")
    assert closed.exit_code == 1
    assert "a003 is held (address)" in closed.stderr and "2 documents issued" in closed.stderr
    first, second = answered("list", "--year", str(datetime.now(UTC).year), "--month", "2026-10")
    assert (first["account_id"], second["net_minor"]) == ("a001", 3)
    assert answered("list", "--account", "a002") == [second]
    number = first["number"]
    shown = run("show", number, "--pdf", str(tmp_path / "a.pdf")).stdout
    assert f"Invoice {number}" in shown and "Amount due: EUR\u00a00.01" in shown
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert answered("show", number)["number"] == number
    assert "cannot be written" in str(run("show", number, "--pdf", "/nowhere/a.pdf").exception)
    note = run("credit-note", second["number"], "--net", "0.02", "--reason", "an outage")
    assert "EUR of" in note.stderr
    again = answered("close", "2026-10")
    assert (again["issued"], again["already_closed"]) == ([], ["a001", "a002"])


@pytest.mark.usefixtures("instance")
def test_a_line_is_explained() -> None:
    run("close", "2026-10")
    (number,) = {one["number"] for one in answered("list", "--account", "a001")}
    with pytest.raises(MeterhouseError, match="has lines 1 to 1"):
        raise run("explain", number, "9").exception or AssertionError


@pytest.mark.usefixtures("instance")
def test_the_job_closes_a_month_and_renders_it() -> None:
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 4, 5, tzinfo=UTC)
    )
    assert close_last_month.evaluate_tick(context).run_requests
    config: Sequence[Any] | Any = {"ops": {"issue_invoices": {"config": {"month": "2026-10-01"}}}}
    for _ in range(2):
        assert close_month_job.execute_in_process(run_config=config).success
    with open_store(load_settings()) as store:
        assert len(list_issued(store)) == 2 and undrawn(store) == []


def test_the_month_before_is_that_of_the_calendar() -> None:
    assert f"{month_before(datetime(2026, 1, 31, tzinfo=UTC))}" == "2025-12-01"
