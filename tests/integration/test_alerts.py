"""Alerts over published marts, a real store and a real mail server."""

import email
import email.policy
import json
import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from socket import create_server

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.accounts import add_account, set_account
from billing.alerts import delivery, outbox
from billing.alerts.delivery import SIGNATURE_HEADER, Sender
from billing.alerts.rules import DEFAULTS, change_rule, rules_of
from billing.alerts.running import evaluate, run_alerts, write_reports
from billing.budgets.budget import make_budget
from billing.budgets.stored import (
    add_budget,
    budget_history,
    change_budget,
    list_budgets,
    remove_budget,
)
from billing.gateways.signature import verify
from billing.incidents import COLUMNS
from billing.schema import alert_transition
from billing.store import open_store
from billing.usage_sums import open_lake
from tests.app.reporting_lake import NOW, make_lake, make_store
from tests.integration.alerts_lab import (
    Inbox,
    encrypted_mail_server,
    mail_server,
    make_certificate,
)
from tests.integration.payments_lab import serving
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory):
    settings = Settings(home=tmp_path_factory.mktemp("alerts"))
    make_lake(settings)
    make_store(settings)
    return settings


@pytest.fixture(params=["sqlite", "postgresql"])
def house(lake_home, tmp_path, request):
    """The published lake with a store of its own: acme is told of its budgets and nothing else."""
    url = f"sqlite:///{tmp_path / 'operations.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    settings = lake_home.model_copy(update={"operations_url": url})
    shutil.rmtree(settings.mail_folder, ignore_errors=True)
    with open_store(settings) as store, open_lake(settings) as lake:
        add_account(
            store,
            "acme",
            name="Acme",
            time_zone="Europe/Berlin",
            email="a@acme.example",
            now=NOW - timedelta(days=60),
        )
        for kind in DEFAULTS:
            change_rule(store, "acme", kind, {"is_on": False})
        yield settings, store, lake


class ChangedLake:
    """The same lake after later usage: rows of the queries that hold ``text`` are others."""

    def __init__(self, lake, text, change):
        self.lake, self.text, self.change = lake, text, change

    def __getattr__(self, name):
        return getattr(self.lake, name)

    def rows(self, sql, parameters, *, publication=None):
        found = self.lake.rows(sql, parameters, publication=publication)
        return [self.change(row) for row in found] if self.text in sql else found


def add(store, **changes):
    given = {"name": "Month", "limit": "100", "actual_percents": [50], "projected_percents": []}
    return add_budget(store, make_budget("acme", **(given | changes)), actor="ann")


def transitions(store):
    query = sa.select(alert_transition).order_by(alert_transition.c.transition_id)
    with store.reading() as connection:
        return connection.execute(query).all()


def states(store):
    return [(row.state, row.is_told) for row in transitions(store)]


def mails(settings):
    return [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in settings.mail_folder.glob("*.eml")
    ]


def test_a_mail_says_what_happened_and_is_written_to_a_folder_without_a_server(house) -> None:
    settings, store, lake = house
    add(store)
    assert run_alerts(settings, store, lake, NOW).delivered.sent == 1
    assert run_alerts(settings, store, lake, NOW).delivered.sent == 0
    (mail,) = mails(settings)
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


def test_a_projected_threshold_is_judged_by_the_projection_of_the_marts(house) -> None:
    settings, store, lake = house
    for scope, part in (("account", None), ("agent", "translator"), ("model", "gpt-5.2")):
        ((projected,),) = lake.rows(
            "select projected_credits from marts.main.rpt_insights_projection"
            " where account_id = 'acme' and scope = $scope and part = $part",
            {"scope": scope, "part": part or ""},
            publication=lake.publication(),
        )
        for name, more in (("at", 0), ("above", Decimal("0.000000001"))):
            add(
                store,
                name=f"{scope} {name}",
                scope=scope,
                part=part,
                limit=projected + more,
                actual_percents=[],
                projected_percents=[100],
            )
    evaluate(settings, store, lake, NOW)
    assert {row.title.partition(":")[0] for row in transitions(store)} == {
        "account at",
        "agent at",
        "model at",
    }


def test_a_new_spike_is_told_once_with_its_cause_unless_it_was_expected(house) -> None:
    settings, store, lake = house
    change_rule(store, "acme", "spike", {"is_on": True})
    for _ in range(2):
        run_alerts(settings, store, lake, NOW)
    (mail,) = mails(settings)
    assert mail["Subject"] == "Alert: Spike: other models, model claude-opus-4-6 (Acme)"
    content = mail.get_body(("plain",)).get_content()
    assert "Period: from 2026-11-17" in content
    assert "other models: " in content
    assert "usage?account=acme&from=2026-11-17&to=2026-11-18&model=claude-opus-4-6" in content


def test_what_happened_before_an_account_was_added_is_no_news(house) -> None:
    settings, store, lake = house
    add_account(store, "mallory", email="m@mallory.example", now=NOW)
    change_rule(store, "mallory", "low_balance", {"is_on": False})
    change_rule(store, "mallory", "runway", {"is_on": False})
    assert run_alerts(settings, store, lake, NOW).written == 0


def test_a_weekly_report_comes_once_and_can_be_switched_off(house) -> None:
    settings, store, lake = house
    change_rule(store, "acme", "weekly_report", {"is_on": True})
    for _ in range(2):
        run_alerts(settings, store, lake, NOW)
    change_rule(store, "acme", "weekly_report", {"recipients": ["late@acme.example"]})
    run_alerts(settings, store, lake, NOW)
    (mail,) = mails(settings)
    assert mail["Subject"] == "Week 2026-11-16 to 2026-11-22: Acme"
    sums = [
        lake.rows(
            "select sum(credits) from marts.main.rpt_usage_daily where account_id = 'acme'"
            " and usage_date >= $first and usage_date < $first + 7",
            {"first": first},
            publication=lake.publication(),
        )[0][0]
        for first in (date(2026, 11, 9), date(2026, 11, 16))
    ]
    content = mail.get_body(("plain",)).get_content()
    change = int(100 * (sums[1] - sums[0]) / sums[0])
    assert f"Used: {sums[1]:,.2f} credits" in content
    assert f"Week before: {sums[0]:,.2f} credits ({change:+} %)" in content
    assert "Projected of November 2026: " in content
    assert "research-agent: " in content
    assert "2026-11-17: " in content and "2026-11-06" not in content
    assert "usage?account=acme&from=2026-11-16&to=2026-11-23" in content
    assert "Open advice" in content
    change_rule(store, "acme", "weekly_report", {"is_on": False})
    assert write_reports(settings, store, lake, NOW) == 0


def test_late_usage_that_moves_a_spikes_first_day_tells_nothing_again(house) -> None:
    settings, store, lake = house
    change_rule(store, "acme", "spike", {"is_on": True})
    run_alerts(settings, store, lake, NOW)

    day = COLUMNS.index("first_date")

    def a_day_earlier(row):
        return (*row[:day], row[day] - timedelta(days=1), *row[day + 1 :])

    later = ChangedLake(lake, "rpt_insights_incident", a_day_earlier)
    assert evaluate(settings, store, later, NOW)[1:] == (0, 0)
    assert len(mails(settings)) == 1


def transport(settings, port, **changes):
    given = {"smtp_host": "localhost", "smtp_port": port, "smtp_security": "starttls"}
    return settings.model_copy(update=given | changes)


@pytest.mark.parametrize(
    ("security", "password"), [("tls", "secret"), ("starttls", "secret"), ("starttls", "pässwörd")]
)
def test_a_mail_goes_encrypted_and_logged_in_and_never_otherwise(
    house, tmp_path, monkeypatch, security, password
) -> None:
    (home, store, _), inbox, certificate = house, Inbox(), make_certificate(tmp_path)
    message = outbox.Message("r", "acme", "mail", "a@b.example", "x", "y", message_id="<1@b>")
    with encrypted_mail_server(inbox, certificate, security, ("ann", password)) as port:
        given = {"smtp_security": security, "smtp_user": "ann", "smtp_password": password}
        settings = transport(home, port, **given)
        with (
            Sender(settings, store) as send,
            pytest.raises(OSError, match="certificate verify failed"),
        ):
            send(message)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        wrong = settings.model_copy(update={"smtp_password": "wrong"})
        with Sender(wrong, store) as send, pytest.raises(OSError, match="535"):
            send(message)
        assert not inbox.mails
        with Sender(settings, store) as send:
            send(message)
            send(message)
    assert list(inbox.mails.values()) == [2]


def test_a_server_without_encryption_gets_nothing_where_it_is_wanted(house) -> None:
    (home, store, _), inbox = house, Inbox()
    message = outbox.Message("r", "acme", "mail", "a@b.example", "x", "y", message_id="<1@b>")
    with mail_server(inbox) as port, Sender(transport(home, port), store) as send:
        with pytest.raises(OSError, match="STARTTLS"):
            send(message)
    assert not inbox.mails


def test_a_mail_server_that_answers_nothing_is_waited_for_once_in_a_round(
    house, monkeypatch
) -> None:
    settings, store, lake = house
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 1)
    add(store, recipients=[f"a{n}@b.example" for n in range(20)])
    with create_server(("127.0.0.1", 0)) as silent:
        mailed = transport(settings, silent.getsockname()[1], smtp_host="127.0.0.1")
        evaluate(mailed, store, lake, NOW)
        with Sender(mailed, store) as send:
            done = outbox.deliver(store, send, lambda: NOW)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert (done.sent, done.failed) == (0, 20)
    assert all("mail server: " in row.detail for row in outbox.history(store, "acme"))


def test_a_webhook_waits_for_its_secret(house) -> None:
    settings, store, lake = house
    add(store, webhook_url="https://customer.example/x", recipients=["x@y.example"])
    done = run_alerts(settings, store, lake, NOW).delivered
    assert (done.sent, done.failed) == (1, 1)
    (waiting,) = [row for row in outbox.history(store) if row.channel == "webhook"]
    assert waiting.detail == "METERHOUSE_ALERT_WEBHOOK_SECRET is not set"


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
        with Sender(mailed, store) as send:
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


def test_a_correction_that_brings_use_back_under_the_threshold_is_told_once(house) -> None:
    settings, store, lake = house
    add(store, tells_end=True)

    def one_credit_at_most(row):
        number, credits, *rest = row
        return (number, credits and min(credits, Decimal(1)), *rest)

    lower = ChangedLake(lake, "with ask as", one_credit_at_most)
    for seen in (lake, lower, lake, lower, lake):
        evaluate(settings, store, seen, NOW)
    assert states(store) == [
        ("firing", True),
        ("ok", True),
        ("firing", False),
        ("ok", False),
        ("firing", False),
    ]


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
    with pytest.raises(MeterhouseError, match="there is no budget"):
        change_budget(store, made.budget_id, {"limit": "1"}, account_id="idle")
    with pytest.raises(MeterhouseError, match="there is no budget"):
        remove_budget(store, made.budget_id, account_id="idle")
    remove_budget(store, made.budget_id, account_id="acme", actor="cy")
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
    add_account(store, "new")
    assert all(rule.is_on for rule in rules_of(store, "new").values())
    change_rule(store, "acme", "runway", {"threshold": "7", "is_on": True}, actor="ann")
    found = rules_of(store, "acme")["runway"]
    assert (found.is_on, found.threshold, found.recorded_by) == (True, Decimal(7), "ann")
    with pytest.raises(MeterhouseError, match="no kind of alert"):
        change_rule(store, "acme", "weather", {})
    set_account(store, "acme", {"email": None})
