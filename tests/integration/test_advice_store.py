"""Decisions on advice in the store, on both databases, and their way into the raw lake."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billing.accounts import add_account
from billing.advice import Advised, accept_advice, acceptances, withdraw_advice
from billing.store import Store, open_store
from orchestration.loading import load_landing
from warehouse.errors import MeterhouseError
from warehouse.lake import reading_head
from warehouse.settings import Settings

ADVISED = Advised(
    advice_id="3f9a0c1b72de",
    kind="failures",
    agent_id="scout",
    category=None,
    model=None,
    candidate_model=None,
    baseline_units=70,
    baseline_quantity=Decimal("12.000000001"),
    saved_credits_month=Decimal("12.857142858"),
)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Settings(home=tmp_path, operations_url=url)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as store:
        add_account(store, "acme")
        add_account(store, "other")
        yield store


def test_an_acceptance_keeps_what_was_advised_exactly(store: Store) -> None:
    accepted = accept_advice(store, "acme", ADVISED, actor="ann", now=NOON)
    assert (accepted.advised, accepted.accepted_at, accepted.accepted_by) == (ADVISED, NOON, "ann")
    assert acceptances(store) == [accepted]
    assert acceptances(store, "other") == []


def test_accepting_twice_is_accepting_once(store: Store) -> None:
    first = accept_advice(store, "acme", ADVISED)
    again = accept_advice(store, "acme", replace(ADVISED, baseline_units=1))
    assert again == first


def test_a_withdrawn_advice_can_be_accepted_anew(store: Store) -> None:
    first = accept_advice(store, "acme", ADVISED)
    assert withdraw_advice(store, "acme", ADVISED.advice_id) == first
    assert acceptances(store) == []
    with pytest.raises(MeterhouseError, match="is not accepted"):
        withdraw_advice(store, "acme", ADVISED.advice_id)
    assert accept_advice(store, "acme", ADVISED).decision_id > first.decision_id


def test_nobody_accepts_for_an_account_that_is_not_declared(store: Store) -> None:
    with pytest.raises(MeterhouseError, match="no account nobody"):
        accept_advice(store, "nobody", ADVISED)


def test_decisions_flow_into_the_lake(store: Store, settings: Settings) -> None:
    accept_advice(store, "acme", ADVISED, now=NOON)
    withdraw_advice(store, "acme", ADVISED.advice_id)
    load_landing(settings)
    connection = reading_head(settings, "raw")
    found = connection.execute(
        "select decision, agent_id, category, baseline_units, baseline_quantity"
        " from raw.main.advice_decision order by decision_id"
    ).fetchall()
    connection.close()
    assert found == [
        ("accepted", "scout", None, 70, Decimal("12.000000001")),
        ("withdrawn", "scout", None, 70, Decimal("12.000000001")),
    ]
