"""``meterhouse accounts`` and ``meterhouse rates``: results on stdout, messages on stderr."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestration.commands.accounts import accounts, given_changes
from orchestration.commands.rates import rates
from warehouse.errors import MeterhouseError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("METERHOUSE_OPERATIONS_URL", "")


def run(*arguments: str) -> Result:
    group = {"accounts": accounts, "rates": rates}[arguments[0]]
    return CliRunner().invoke(group, arguments[1:])


def test_an_added_account_is_listed_as_json() -> None:
    added = run("accounts", "add", "acme", "--time-zone", "Asia/Tokyo", "--currency", "jpy")
    assert (added.exit_code, added.stdout) == (0, "")
    assert "added the account acme" in added.stderr
    (listed,) = json.loads(run("accounts", "list", "--json").stdout)
    assert listed.pop("created_at")
    assert listed.pop("created_by")
    assert listed == {
        "account_id": "acme",
        "effective_from": "1970-01-01",
        "name": "acme",
        "time_zone": "Asia/Tokyo",
        "currency": "JPY",
        "email": None,
        "plan": "prepaid",
        "overage_price": None,
        "upcoming": [],
    }


def test_no_accounts_and_no_rates_are_an_empty_array() -> None:
    for group in ("accounts", "rates"):
        assert json.loads(run(group, "list", "--json").stdout) == []
        listed = run(group, "list")
        assert (listed.exit_code, listed.stdout) == (0, "")
        assert "yet; add" in listed.stderr


def test_a_change_is_reported_and_listed_under_its_account() -> None:
    run("accounts", "add", "acme", "--name", "A [bold]Ltd")
    postpaid = ("accounts", "set", "acme", "--plan", "postpaid", "--overage-price", "0.01")
    changed = run(*postpaid)
    assert changed.exit_code == 0
    assert "postpaid" in changed.stderr
    table = run("accounts", "list").stdout
    assert "A [bold]Ltd" in table
    assert "postpaid" in table
    (listed,) = json.loads(run("accounts", "list", "--json").stdout)
    assert (listed["plan"], listed["upcoming"][0]["plan"]) == ("prepaid", "postpaid")
    assert "nothing to change" in run(*postpaid).stderr


def test_a_price_of_overage_is_dated_like_the_plan_and_listed_as_a_string() -> None:
    run("accounts", "add", "acme", "--plan", "prepaid-with-overage", "--overage-price", "0.0125")
    changed = run("accounts", "set", "acme", "--overage-price", "0.02")
    assert "overage at 0.02 USD a credit" in changed.stderr
    (listed,) = json.loads(run("accounts", "list", "--json").stdout)
    assert listed["overage_price"] == "0.012500000000"
    assert listed["upcoming"][0]["overage_price"] == "0.020000000000"
    assert "0.0125" in run("accounts", "list").stdout


def test_a_change_may_name_its_month() -> None:
    run("accounts", "add", "acme")
    run("accounts", "set", "acme", "--time-zone", "Asia/Tokyo", "--from", "2026-03")
    (listed,) = json.loads(run("accounts", "list", "--json").stdout)
    assert (listed["effective_from"], listed["time_zone"]) == ("2026-03-01", "Asia/Tokyo")


def test_an_empty_email_removes_it_and_what_was_not_given_stays() -> None:
    given = {"email": "", "name": None, "plan": "postpaid"}
    assert given_changes(given) == {"email": None, "plan": "postpaid"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("accounts", "add", "bad id"),
        ("accounts", "add", "acme", "--time-zone", "Berlin"),
        ("accounts", "set", "nobody", "--name", "x"),
        ("accounts", "add", "acme", "--overage-price", "0"),
        ("accounts", "add", "acme", "--overage-price", "much"),
        ("accounts", "set", "nobody"),
        ("accounts", "set", "nobody", "--name", "x", "--from", "2026-03-17"),
        ("rates", "add", "--category", "llm", "--unit", "call", "--credits", "-1"),
        ("rates", "import", "missing.csv"),
    ],
)
def test_what_cannot_be_is_an_error_for_the_user(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, MeterhouseError)
    assert result.stdout == ""


def test_a_rate_is_added_and_listed_with_its_price_as_a_string(tmp_path: Path) -> None:
    added = run("rates", "add", "--category", "llm", "--unit", "call", "--credits", "0.10")
    assert (added.exit_code, added.stdout) == (0, "")
    assert "added 1 rate," in added.stderr
    (listed,) = json.loads(run("rates", "list", "--json").stdout)
    assert (listed["credits_per_unit"], listed["model"]) == ("0.100000000000", None)
    table = run("rates", "list").stdout
    assert "every model" in table
    assert "0.1" in table


def test_a_file_of_rates_is_imported_once(tmp_path: Path) -> None:
    file = tmp_path / "card.csv"
    file.write_text(
        "category,model,unit,credits_per_unit,effective_from\nsql,,call,0.1,2026-01-01\n"
    )
    assert "added 1 rate, 0 stood" in run("rates", "import", str(file)).stderr
    assert "added 0 rates, 1 stood" in run("rates", "import", str(file)).stderr
