"""What ``meterhouse advice`` prints of advice, and what it says where there is none."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from billing.accounts import add_account
from billing.advice import Acceptance, Advised
from billing.store import open_store
from orchestration.commands.advice import Saved, Told, accepted_json, advice, told_json
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

ADVISED = Advised("a1", "batching", "bulk", "llm", "m", None, 3, Decimal("7.5"), Decimal("4.0"))


def test_advice_and_acceptances_are_json_with_exact_credits() -> None:
    told = told_json(Told("acme", ADVISED, 30, Decimal("8.000000001"), False))
    assert (told["advice_id"], told["credits"], told["saved_credits_month"]) == (
        "a1",
        "8.000000001",
        "4.0",
    )
    since = datetime(2026, 11, 23, tzinfo=UTC)
    accepted = Acceptance(1, "acme", ADVISED, since, "ann")
    assert accepted_json(accepted, None)["saved_credits"] is None
    assert accepted_json(accepted, Saved(Decimal("-1.5"), 4))["saved_credits"] == "-1.5"


def test_before_a_publication_and_for_unknown_accounts_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    with open_store(Settings(home=tmp_path)) as store:
        add_account(store, "acme")

    def fails(*arguments: str) -> str:
        result = CliRunner().invoke(advice, arguments)
        assert isinstance(result.exception, MeterhouseError)
        return str(result.exception)

    assert "meterhouse refresh" in fails("list")
    assert "nobody" in fails("list", "--account", "nobody")
    assert "nobody" in fails("accept", "nobody", "a1")
    assert "meterhouse advice list" in fails("withdraw", "acme", "a1")
