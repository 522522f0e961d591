"""The route that tells the platform what an account has left, over real HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import streamlit as st
from starlette.applications import Starlette

from app import api
from app.lake import LakeReader
from billing.accounts import add_account
from billing.budgets.budget import make_budget
from billing.budgets.stored import add_budget
from billing.grants import grant
from billing.position import credit_position
from billing.store import open_store
from tests.app.reporting_lake import make_lake, make_store
from tests.integration.payments_lab import serving
from warehouse.settings import Settings

TOKEN = "s3same-ö"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("balance"))
    make_lake(settings)
    make_store(settings)
    with open_store(settings) as store:
        add_account(store, "team/a:b@c", name="With a slash")
    return settings


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("METERHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("METERHOUSE_API_TOKEN", TOKEN)
    with serving(Starlette(routes=api.routes)) as url:
        yield url
    st.cache_data.clear()
    st.cache_resource.clear()


def ask(url: str, token: str | None = TOKEN, method: str = "GET"):
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers


@pytest.mark.parametrize("account", ["acme", "tokyo", "mallory", "idle"])
def test_the_answer_is_the_live_position_with_every_digit(server, settings, account):
    asked_at = datetime.now(UTC)
    status, answer, headers = ask(f"{server}/v1/accounts/{account}/balance")
    answered_at = datetime.now(UTC)
    reader = LakeReader(settings)
    with open_store(settings) as store:
        found = credit_position(reader, store, account, datetime.now(UTC))
    published = reader.publication()
    reader.close()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    for name, amount in (
        ("balance", found.balance),
        ("settled", found.settled_balance),
        ("pending", found.pending),
        ("overage", found.overage),
        ("remaining", found.remaining),
    ):
        assert isinstance(answer[name], str)
        assert Decimal(answer[name]) == amount
    assert answer["published"]["load_id"] == published.raw_load_id
    assert asked_at <= datetime.fromisoformat(answer["as_of"]) <= answered_at


def test_lots_that_expire_within_the_days_asked_for_are_listed(server):
    url = f"{server}/v1/accounts/acme/balance"
    (lot,) = ask(f"{url}?expires_within=7")[1]["expiring"]
    assert (lot["kind"], Decimal(lot["remaining"])) == ("promotional", Decimal(25))
    assert ask(f"{url}?expires_within=5")[1]["expiring"] == []
    assert ask(url)[1]["expires_within_days"] == 30


def test_a_grant_shows_in_the_next_answer(server, settings):
    url = f"{server}/v1/accounts/idle/balance"
    before = Decimal(ask(url)[1]["balance"])
    with open_store(settings) as store:
        grant(store, "idle", "10.5", reason="Sorry")
    assert Decimal(ask(url)[1]["balance"]) == before + Decimal("10.5")


def test_an_id_with_a_slash_is_found(server):
    status, answer, _ = ask(f"{server}/v1/accounts/team/a:b@c/balance")
    assert (status, answer["account_id"], answer["balance"]) == (200, "team/a:b@c", "0")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + " ", TOKEN.upper(), "s3same-"])
def test_nobody_is_answered_without_the_token(server, token):
    given = token if token is None or token != TOKEN + " " else TOKEN + "x"
    for account in ("acme", "nobody"):
        status, answer, headers = ask(f"{server}/v1/accounts/{account}/balance", given)
        assert (status, answer["error"]["code"]) == (401, "unauthorized")
        assert headers["www-authenticate"] == "Bearer"


def test_without_a_token_in_the_settings_the_route_is_off(server, monkeypatch):
    monkeypatch.setenv("METERHOUSE_API_TOKEN", "")
    status, answer, _ = ask(f"{server}/v1/accounts/acme/balance", "")
    assert status == 503
    assert "METERHOUSE_API_TOKEN" in answer["error"]["message"]


@pytest.mark.parametrize("account", ["nobody", "ACME", "a'%20or%20'1'='1", "%00"])
def test_an_unknown_account_is_not_found(server, account):
    status, answer, _ = ask(f"{server}/v1/accounts/{account}/balance")
    assert (status, answer["error"]["code"]) == (404, "unknown_account")


@pytest.mark.parametrize("days", ["-1", "x", "3661", "1.5", "", "%D9%A3"])
def test_days_that_are_no_number_of_days_are_refused(server, days):
    status, answer, _ = ask(f"{server}/v1/accounts/acme/balance?expires_within={days}")
    assert (status, answer["error"]["code"]) == (400, "bad_request")


def test_only_get_is_answered(server):
    status, answer, headers = ask(f"{server}/v1/accounts/acme/balance", method="POST")
    assert (status, answer["error"]["code"], headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD",
    )


def test_limits_say_whether_they_are_reached_over_settled_and_pending_usage(server, settings):
    url = f"{server}/v1/accounts/tokyo/balance"
    assert ask(url)[1]["limits"] == []
    with open_store(settings) as store:
        for name, amount, part in (
            ("Small", "0.001", None),
            ("Big", "1000000", None),
            ("Agent", "0.001", "honyaku"),
            ("None", "5", "nobody"),
        ):
            add_budget(
                store,
                make_budget(
                    "tokyo",
                    name=name,
                    limit=amount,
                    rolling_days=366,
                    scope="agent" if part else "account",
                    part=part,
                    is_enforced=True,
                ),
            )
    found = {each["name"]: each for each in ask(url)[1]["limits"]}
    assert {name: each["allowed"] for name, each in found.items()} == {
        "Small": False,
        "Big": True,
        "Agent": False,
        "None": True,
    }
    reader = LakeReader(settings)
    with open_store(settings) as store:
        position = credit_position(reader, store, "tokyo", datetime.now(UTC))
    reader.close()
    assert Decimal(found["Big"]["pending"]) == position.pending
    assert Decimal(found["Big"]["used"]) > Decimal(found["Agent"]["used"]) > 0
    assert (found["None"]["used"], found["None"]["pending"]) == ("0", "0")
