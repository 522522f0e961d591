"""Alerts over published marts, a real store and a real mail server."""

import email
import email.policy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.accounts import add_account, set_account
from billing.alerts import outbox
from billing.alerts.delivery import SIGNATURE_HEADER, Sender
from billing.alerts.rules import rules_of, set_rule
from billing.alerts.running import evaluate, run_alerts
from billing.budgets.budget import make_budget
from billing.budgets.stored import (
    add_budget,
    budget_history,
    change_budget,
    list_budgets,
    remove_budget,
)
from billing.gateways.signature import verify
from billing.schema import alert_transition
from billing.store import open_store
from billing.usage_sums import open_lake
from tests.app.reporting_lake import NOW, make_lake, make_store
from tests.integration.alerts_lab import Inbox, mail_server
from tests.integration.payments_lab import serving
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory):
    settings = Settings(home=tmp_path_factory.mktemp("alerts"))
    make_lake(settings)
    make_store(settings)
    return settings


@pytest.fixture
def house(lake_home, tmp_path):
    """The published lake with a store of its own: acme is to be told, balances are left alone."""
    url = f"sqlite:///{tmp_path / 'operations.sqlite'}"
    settings = lake_home.model_copy(update={"operations_url": url})
    with open_store(settings) as store, open_lake(settings) as lake:
        add_account(store, "acme", name="Acme", time_zone="Europe/Berlin", email="a@acme.example")
        for kind in ("low_balance", "runway"):
            set_rule(store, "acme", kind, is_on=False)
        yield settings, store, lake


def add(store, **changes):
    given = {"name": "Month", "limit": "100", "actual_percents": [50], "projected_percents": []}
    return add_budget(store, make_budget("acme", **(given | changes)), actor="ann")


def states(store):
    query = sa.select(alert_transition).order_by(alert_transition.c.transition_id)
    with store.reading() as connection:
        return [(row.state, row.is_told) for row in connection.execute(query)]


def test_a_mail_says_what_happened_and_is_written_to_a_folder_without_a_server(house) -> None:
    settings, store, lake = house
    add(store)
    assert run_alerts(settings, store, lake, NOW).delivered.sent == 1
    assert run_alerts(settings, store, lake, NOW).delivered.sent == 0
    (file,) = settings.mail_folder.glob("*.eml")
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert (mail["To"], mail["Subject"]) == (
        "a@acme.example",
        "Alert: Month: actual use at 50 % of the limit (Acme)",
    )
    content = mail.get_body(("plain",)).get_content()
    ((credits,),) = lake.rows(
        "select sum(credits) from marts.main.rpt_usage_daily where account_id = 'acme'"
        " and usage_date >= date '2026-11-01'",
        {},
        publication=lake.publication(),
    )
    assert f"Figure: {credits:,.2f} credits" in content
    assert "agent " in content and "model " in content
    assert "/usage?account=acme&from=2026-11-01&to=2026-12-01" in content
    assert "<table" in mail.get_body(("html",)).get_content()


def test_an_hour_without_a_mail_server_loses_nothing_and_repeats_nothing(house) -> None:
    settings, store, lake = house
    add(store, recipients=["a@b.example", "bounces@b.example"])
    inbox, clock = Inbox(), [NOW]
    with mail_server(inbox) as port:
        mailed = settings.model_copy(
            update={"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
        )
        evaluate(mailed, store, lake, NOW)
        inbox.is_down = True
        with Sender(mailed) as send:
            for _ in range(60):
                outbox.deliver(store, send, lambda: clock[0])
                clock[0] += timedelta(minutes=1)
            assert not inbox.mails
            inbox.is_down = False
            clock[0] += outbox.LONGEST_WAIT
            done = outbox.deliver(store, send, lambda: clock[0])
            assert (done.sent, done.given_up) == (1, 1)
            assert outbox.deliver(store, send, lambda: clock[0]).sent == 0
    assert list(inbox.mails.values()) == [1]
    rows = {row.recipient: (row.kind, row.detail) for row in outbox.history(store, "acme")}
    assert rows["a@b.example"] == ("sent", "")
    assert rows["bounces@b.example"] == ("given_up", "550 no such user")
    (attempts,) = {row.attempt for row in outbox.history(store, "acme")}
    assert attempts == 7


def test_two_senders_at_once_send_nothing_twice(house) -> None:
    settings, store, lake = house
    add(store)
    evaluate(settings, store, lake, NOW)
    sent = []

    def first(message):
        with open_store(settings) as other:
            assert outbox.deliver(other, sent.append).sent == 0
        sent.append(message)

    assert outbox.deliver(store, first).sent == 1
    assert len(sent) == 1


def test_a_webhook_is_json_that_is_signed(house) -> None:
    settings, store, lake = house
    got = []

    async def take(request: Request) -> Response:
        got.append((await request.body(), request.headers[SIGNATURE_HEADER]))
        return Response(status_code=204)

    with serving(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as url:
        add(store, webhook_url=f"{url}/hook", recipients=["x@y.example"])
        secret = settings.model_copy(update={"alert_webhook_secret": "s"})
        run_alerts(secret, store, lake, NOW)
    ((body, signature),) = got
    verify(body, signature, "s", datetime.now(UTC))
    told = json.loads(body)
    assert (told["state"], told["limit"], told["period"]) == ("firing", "50", "2026-11-01")


def test_stale_figures_are_no_data_and_no_recovery(house) -> None:
    settings, store, lake = house
    add(store, tells_end=True)
    for at in (NOW, NOW + timedelta(days=5), NOW):
        evaluate(settings, store, lake, at)
    assert states(store) == [("firing", True), ("no_data", False), ("firing", False)]


def test_an_account_without_usage_has_no_data(house) -> None:
    settings, store, lake = house
    add_account(store, "idle", email="i@idle.example")
    add_budget(store, make_budget("idle", name="M", limit="1", projected_percents=[]))
    evaluate(settings, store, lake, NOW)
    assert set(states(store)) == {("no_data", False)}


def test_a_budget_changed_in_its_period_alerts_anew_only_for_a_new_limit(house) -> None:
    settings, store, lake = house
    made = add(store)
    evaluate(settings, store, lake, NOW)
    change_budget(store, made.budget_id, {"name": "Other"}, actor="bob")
    assert evaluate(settings, store, lake, NOW)[1] == 0
    changed = change_budget(store, made.budget_id, {"limit": "200"}, actor="bob")
    assert changed.definition == 2
    assert evaluate(settings, store, lake, NOW)[2] == 1
    remove_budget(store, made.budget_id, actor="cy")
    assert list_budgets(store, "acme") == []
    assert [
        (b.limit_amount, b.recorded_by, b.is_removed) for b in budget_history(store, made.budget_id)
    ] == [
        (Decimal(100), "ann", False),
        (Decimal(100), "bob", False),
        (Decimal(200), "bob", False),
        (Decimal(200), "cy", True),
    ]


@pytest.mark.parametrize(
    ("scope", "part", "column"),
    [
        ("agent", "translator", "agent_id"),
        ("model", "gpt-5.2", "model"),
        ("category", "sql", "category"),
    ],
)
def test_a_part_is_measured_alone(house, scope, part, column) -> None:
    settings, store, lake = house
    ((credits,),) = lake.rows(
        f"select sum(credits) from marts.main.rpt_usage_daily where account_id = 'acme'"
        f" and {column} = $part and usage_date >= date '2026-11-01'",
        {"part": part},
        publication=lake.publication(),
    )
    add(store, scope=scope, part=part, limit=credits, actual_percents=[100])
    add(
        store,
        name="Above",
        scope=scope,
        part=part,
        limit=credits + Decimal("0.000000001"),
        actual_percents=[100],
    )
    evaluate(settings, store, lake, NOW)
    assert states(store) == [("firing", True)]


def test_a_budget_needs_an_account_and_a_name_of_its_own(house) -> None:
    _, store, _ = house
    add(store)
    with pytest.raises(MeterhouseError, match="has a budget named 'Month' already"):
        add(store)
    with pytest.raises(MeterhouseError, match="nobody"):
        add_budget(store, make_budget("nobody", name="x", limit="1"))


def test_rules_are_on_by_default_and_a_change_is_kept(house) -> None:
    _, store, _ = house
    assert rules_of(store, "acme")["spike"].is_on
    set_rule(store, "acme", "runway", threshold="7", actor="ann")
    found = rules_of(store, "acme")["runway"]
    assert (found.is_on, found.threshold, found.recorded_by) == (True, Decimal(7), "ann")
    with pytest.raises(MeterhouseError, match="no kind of alert"):
        set_rule(store, "acme", "weather")
    set_account(store, "acme", {"email": None})
