"""Commands that change accounts, money or rules are in the audit log before they do so."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from billing.audit import AuditEvent, list_events
from billing.store import current_user, open_store
from orchestration.cli import meterhouse
from warehouse.settings import load_settings

RATE = ("--category", "llm", "--unit", "call", "--credits", "1")
PACKAGE = ("--name", "Small", "--credits", "10", "--price", "5.00", "--currency", "USD")

WRITES_NO_RULE = {
    # data and their upkeep: what they did is in loads, runs and publications
    "backtest", "backup make", "backup check", "dagster", "doctor", "load", "refresh",
    "relocate", "replay", "restore", "sample", "sql", "status", "up", "upkeep", "watch",
    # what the scheduled jobs do by themselves
    "alerts run", "credits settle", "invoices render",
    # files of somebody who may read the whole lake
    "export usage", "export focus",
}  # fmt: skip
READS = {"list", "show", "explain", "balance", "ledger", "lots", "purchases", "history", "simulate"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("METERHOUSE_OPERATIONS_URL", "")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(meterhouse, arguments)


def log() -> list[AuditEvent]:
    with open_store(load_settings()) as store:
        return list_events(store)[::-1]


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_each_command_either_reads_or_is_logged() -> None:
    unlogged, known = [], set()
    for path, command in commands(meterhouse):
        assert command.callback is not None
        body = inspect.getsource(inspect.unwrap(command.callback))
        known |= {path, path.split()[-1]}
        if path.split()[-1] in READS or path in WRITES_NO_RULE:
            assert "logged" not in body, path
        elif "logged" not in body and "_mark(" not in body:
            unlogged.append(path)
    assert unlogged == []
    assert (WRITES_NO_RULE | READS) - known == set()


def test_the_log_tells_who_changed_what_and_with_which_words() -> None:
    for words in (
        ("accounts", "add", "acme", "--email", "a@b.example"),
        ("accounts", "set", "acme", "--name", "Acme"),
        ("credits", "grant", "acme", "12.5", "--reason", "a start", "--json"),
        ("credits", "adjust", "acme", "2", "--reason", "too little"),
        ("credits", "void", "1", "--reason", "over"),
        ("credits", "packages", "add", "small", *PACKAGE),
        ("credits", "packages", "withdraw", "small"),
        ("rates", "add", *RATE),
        ("budgets", "add", "acme", "100", "--name", "all", "--to", "x@y.example"),
        ("budgets", "set", "1", "--limit", "200"),
        ("budgets", "remove", "1"),
        ("alerts", "set", "acme", "runway", "--off"),
        ("members", "role", "acme", "p@q.example", "viewer"),
        ("invoices", "tax-rate", "DE", "19"),
    ):
        done = run(*words)
        assert done.exit_code == 0, (words, done.output, done.exception)
    rows = log()
    assert [(row.action, row.account_id) for row in rows] == [
        ("account.add", "acme"),
        ("account.change", "acme"),
        ("credits.grant", "acme"),
        ("credits.adjust", "acme"),
        ("credits.void", "acme"),
        ("package.add", None),
        ("package.withdraw", None),
        ("rate.add", None),
        ("budget.save", "acme"),
        ("budget.save", "acme"),
        ("budget.remove", "acme"),
        ("alerts.change", "acme"),
        ("member.role", "acme"),
        ("tax_rate.add", None),
    ]
    assert {(row.actor, row.outcome) for row in rows} == {("cli", "allowed")}
    assert all(row.origin.startswith(f"{current_user()}@") for row in rows)
    assert dict(rows[2].details) == {
        "command": "meterhouse credits grant",
        "account_id": "acme",
        "amount": "12.5",
        "reason": "a start",
    }


@pytest.mark.parametrize(
    ("words", "account", "error"),
    [
        (("credits", "grant", "nobody", "1", "--reason", "x"), "nobody", "no account nobody"),
        (("credits", "void", "7", "--reason", "x"), None, "7"),
        (("budgets", "remove", "7"), None, "7"),
        (("invoices", "credit-note", "INV-1", "--reason", "x"), None, "INV-1"),
        (("invoices", "close", "2026-10"), None, "meterhouse refresh"),
    ],
)
def test_what_then_is_not_possible_has_a_second_row(words, account, error) -> None:
    assert run(*words).exit_code == 1
    tried, failed = log()
    assert (tried.outcome, failed.outcome) == ("allowed", "failed")
    assert tried.account_id == failed.account_id == account
    assert error in failed.details["error"]


def test_a_dry_run_and_a_look_at_the_issuer_write_no_row() -> None:
    run("invoices", "close", "2026-10", "--dry-run")
    run("invoices", "issuer")
    run("accounts", "list")
    assert log() == []


def test_the_address_of_a_webhook_stays_out_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_ALERT_WEBHOOK_SECRET", "s")
    run("accounts", "add", "acme")
    hook = "https://hooks.example.com/services/TOKEN"
    run("budgets", "add", "acme", "5", "--name", "n", "--to", "x@y.example", "--webhook", hook)
    assert log()[-1].details["webhook"] == "given"
    assert not any("TOKEN" in str(row.details) for row in log())
