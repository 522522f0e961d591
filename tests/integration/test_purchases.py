"""Buying credits: one purchase, one payment, one set of lots, whatever happens in between."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.accounts import add_account
from billing.burn_down import Usage
from billing.gateways.demo import DemoGateway
from billing.gateways.protocol import GatewayError, Session
from billing.gateways.signature import sign
from billing.grants import list_lots
from billing.lots import NoUsage, spent_of, summed
from billing.packages import add_offer, make_offer
from billing.purchases import (
    Purchase,
    expiry,
    fulfil,
    get_purchase,
    purchase_history,
    start_purchase,
)
from billing.reversals import post_reversal, refund_lot
from billing.schema import credit_grant, payment_event, webhook_receipt
from billing.settling import settle_pending
from billing.store import Store, open_store
from billing.webhooks import receive_webhook
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BACK = "http://127.0.0.1:8501/checkout/return"
HOUR = timedelta(hours=1)
NONE = NoUsage()


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Settings(home=tmp_path, operations_url=url)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        add_account(opened, "acme", currency="EUR", time_zone="Asia/Tokyo", email="a@acme.example")
        yield opened


@pytest.fixture
def offer(store: Store) -> int:
    return offered(store)


@pytest.fixture
def demo(settings: Settings) -> DemoGateway:
    return DemoGateway(settings)


class Used:
    """An account that used so much up to now."""

    def __init__(self, amount: str) -> None:
        self.amount = Decimal(amount)

    def between(self, account_id: str, borders: Sequence[datetime]) -> list[Usage]:
        just_now = borders[-1] - timedelta(microseconds=1)
        return summed([Usage(just_now, self.amount)], borders)


def offered(store: Store, currency: str = "EUR") -> int:
    now = datetime.now(UTC)
    made = make_offer(
        "team",
        name="Team",
        credits="1000",
        bonus_credits="50",
        currency=currency,
        price_minor=4900,
        validity_days=30,
        effective_from=now,
    )
    return add_offer(store, made, now=now).offer_id


def start(store: Store, demo: DemoGateway, offer: int, key: str = "click") -> Purchase:
    start_purchase(store, demo, "acme", offer, key, BACK)
    return purchase_history(store, "acme")[0]


def pay(store: Store, demo: DemoGateway, offer: int, key: str = "click") -> Purchase:
    """A purchase that was paid and fulfilled."""
    session = session_of(demo, start(store, demo, offer, key))
    demo.pay(session.session_id)
    assert fulfil(store, demo, demo.retrieve_session(session.session_id)) == "granted"
    return purchase_history(store, "acme")[0]


def session_of(demo: DemoGateway, bought: Purchase) -> Session:
    assert bought.session_id is not None
    return demo.retrieve_session(bought.session_id)


def receipts(store: Store) -> list[str]:
    with store.reading() as connection:
        query = sa.select(webhook_receipt.c.outcome).order_by(webhook_receipt.c.receipt_id)
        return list(connection.scalars(query))


def test_a_paid_purchase_gives_its_credits_and_its_bonus(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = pay(store, demo, offer)
    assert (bought.state, bought.price_minor, bought.name) == ("paid", 4900, "Team")
    credits, bonus = list_lots(store, "acme")
    assert (credits.kind, credits.credits, credits.paid_minor) == ("purchased", 1000, 4900)
    assert (bonus.kind, bonus.credits, bonus.paid_minor) == ("promotional", 50, None)
    assert credits.purchase_id == bonus.purchase_id == bought.purchase_id
    assert credits.effective_at == bought.paid_at
    assert bonus.expires_at is None
    assert credits.expires_at == expiry(credits.effective_at, 30, "Asia/Tokyo")


def test_credits_expire_at_the_accounts_midnight_after_their_last_day() -> None:
    bought = datetime(2026, 3, 20, 16, 30, tzinfo=UTC)
    assert expiry(bought, 30, "Asia/Tokyo") == datetime(2026, 4, 20, 15, tzinfo=UTC)
    assert expiry(bought, 30, "Europe/Berlin") == datetime(2026, 4, 19, 22, tzinfo=UTC)
    assert expiry(bought, None, "UTC") is None


def test_a_double_click_is_one_purchase_and_one_checkout(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    found = []

    def click() -> None:
        found.append(start_purchase(store, demo, "acme", offer, "same", BACK))

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(purchase_history(store, "acme")) == 1
    start_purchase(store, demo, "acme", offer, "another", BACK)
    assert len(purchase_history(store, "acme")) == 2


def test_a_click_after_the_payment_leads_back_instead_of_to_another_checkout(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = pay(store, demo, offer)
    again = start_purchase(store, demo, "acme", offer, "click", BACK)
    assert again == f"{BACK}?purchase={bought.purchase_id}"


def test_what_cannot_be_bought_is_refused(store: Store, demo: DemoGateway, offer: int) -> None:
    dollars = offered(store, "USD")
    with pytest.raises(MeterhouseError, match="pays in EUR, and this package is offered in USD"):
        start_purchase(store, demo, "acme", dollars, "k", BACK)
    with pytest.raises(MeterhouseError, match="is not offered any more"):
        start_purchase(store, demo, "acme", 999, "k", BACK)
    with pytest.raises(MeterhouseError, match="no account nobody"):
        start_purchase(store, demo, "nobody", offer, "k", BACK)
    start_purchase(store, demo, "acme", offer, "k", BACK)
    add_account(store, "blue", currency="EUR")
    with pytest.raises(MeterhouseError, match="used for another purchase"):
        start_purchase(store, demo, "blue", offer, "k", BACK)


@pytest.mark.parametrize("wrong", [{"amount_minor": 4899}, {"currency": "USD"}])
def test_a_wrong_amount_or_currency_gives_nothing_and_is_recorded(
    store: Store, demo: DemoGateway, offer: int, wrong: dict[str, object]
) -> None:
    bought = start(store, demo, offer)
    session = replace(session_of(demo, bought), is_paid=True, **wrong)  # type: ignore[arg-type]
    assert fulfil(store, demo, session) == fulfil(store, demo, session) == "mismatched"
    (now,) = purchase_history(store, "acme")
    assert now.state == "mismatched"
    assert "no credits were given" in now.events[-1].detail
    assert list_lots(store, "acme") == []


def test_a_payment_in_another_checkout_than_the_opened_one_gives_nothing(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    session = replace(session_of(demo, start(store, demo, offer)), session_id="x", is_paid=True)
    assert fulfil(store, demo, session) == "mismatched"


def test_a_session_completed_but_not_paid_stays_pending(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = start(store, demo, offer)
    session = replace(session_of(demo, bought), url=None)
    assert fulfil(store, demo, session) == "pending"
    assert purchase_history(store, "acme")[0].state == "open"
    assert fulfil(store, demo, replace(session, is_paid=True)) == "granted"


def test_a_payment_that_comes_after_the_checkout_expired_counts(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    session = session_of(demo, start(store, demo, offer))
    assert fulfil(store, demo, replace(session, is_over=True)) == "expired"
    with pytest.raises(MeterhouseError, match="has expired"):
        start_purchase(store, demo, "acme", offer, "click", BACK)
    assert fulfil(store, demo, replace(session, is_paid=True)) == "granted"
    assert purchase_history(store, "acme")[0].state == "paid"


def test_a_clock_that_jumps_back_pays_no_purchase_before_it_was_made(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = start(store, demo, offer)
    session = replace(session_of(demo, bought), is_paid=True)
    assert fulfil(store, demo, session, now=bought.recorded_at - 5 * HOUR) == "granted"
    assert list_lots(store, "acme")[0].effective_at == bought.recorded_at


def test_a_webhook_gives_credits_once_and_a_replay_gives_nothing(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    session = session_of(demo, start(store, demo, offer))
    signed = demo.pay(session.session_id)
    assert signed is not None
    assert receive_webhook(store, demo, NONE, *signed).status == 200
    again = receive_webhook(store, demo, NONE, *signed)
    assert (again.status, again.outcome) == (200, "replayed")
    assert len(list_lots(store, "acme")) == 2
    assert receipts(store) == ["accepted", "replayed"]


def test_a_forged_webhook_is_refused_and_recorded(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    session = session_of(demo, start(store, demo, offer))
    signed = demo.pay(session.session_id)
    assert signed is not None
    body, signature = signed
    now = datetime.now(UTC)
    for forged_body, forged in (
        (body, None),
        (body, ""),
        (body, "t=1,v1=00"),
        (body + b" ", signature),
        (body, sign(body, "guessed", now)),
        (body, sign(body, demo.secret, now - HOUR)),
        (b"[]", sign(b"[]", demo.secret, now)),
        (b"\xff", sign(b"\xff", demo.secret, now)),
        (b"x" * 300_000, "t=1,v1=00"),
    ):
        received = receive_webhook(store, demo, NONE, forged_body, forged)
        assert (received.status, received.outcome) == (400, "forged"), received
    assert list_lots(store, "acme") == []
    assert receipts(store) == ["forged"] * 9


def test_a_webhook_before_the_purchase_is_stored_is_to_be_sent_again(
    store: Store, settings: Settings, demo: DemoGateway, offer: int, tmp_path: Path
) -> None:
    elsewhere = Settings(home=tmp_path, operations_url=f"sqlite:///{tmp_path / 'other.sqlite'}")
    with open_store(elsewhere) as other:
        add_account(other, "acme", currency="EUR")
        session = session_of(demo, start(other, demo, offered(other)))
    signed = demo.pay(session.session_id)
    assert signed is not None
    for _ in range(2):
        received = receive_webhook(store, demo, NONE, *signed)
        assert (received.status, received.outcome) == (404, "unknown")


def test_a_webhook_about_something_else_is_ignored(store: Store, demo: DemoGateway) -> None:
    received = receive_webhook(store, demo, NONE, *demo.notice("customer.created"))
    assert (received.status, received.outcome) == (200, "ignored")


def test_the_sweep_finds_payments_whose_webhook_was_lost_and_expires_old_checkouts(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    paid, old = (start(store, demo, offer, key) for key in ("paid", "old"))
    assert session_of(demo, paid).url
    demo.pay(str(paid.session_id))
    settled = settle_pending(store, demo, NONE)
    assert (settled.granted, settled.pending, settled.problems) == (1, 1, ())
    settled = settle_pending(store, demo, NONE, datetime.now(UTC) + 25 * HOUR)
    assert (settled.granted, settled.expired, settled.pending) == (0, 1, 0)
    assert session_of(demo, old).is_over
    assert settle_pending(store, demo, NONE).pending == 0
    assert len(list_lots(store, "acme")) == 2


class Broken(DemoGateway):
    """A gateway that cannot open a checkout."""

    def create_session(self, order: object) -> Session:
        raise GatewayError("no line")


def test_a_purchase_whose_checkout_could_not_be_opened_can_be_tried_again(
    store: Store, settings: Settings, demo: DemoGateway, offer: int
) -> None:
    with pytest.raises(GatewayError):
        start_purchase(store, Broken(settings), "acme", offer, "k", BACK)
    (stored,) = purchase_history(store, "acme")
    assert stored.state == "started"
    assert settle_pending(store, demo, NONE).pending == 1
    start_purchase(store, demo, "acme", offer, "k", BACK)
    assert [x.state for x in purchase_history(store, "acme")] == ["open"]
    with pytest.raises(GatewayError):
        start_purchase(store, Broken(settings), "acme", offer, "l", BACK)
    assert settle_pending(store, demo, NONE, datetime.now(UTC) + 2 * HOUR).expired == 1


def test_a_refund_returns_the_unspent_part_in_proportion_and_ends_the_bonus(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = pay(store, demo, offer)
    lot, bonus = list_lots(store, "acme")
    usage = Used("300")
    ended = refund_lot(store, demo, usage, lot.grant_id, Decimal(100), reason="asked")
    assert ended.ending is not None
    assert purchase_history(store, "acme")[0].refunded_minor == 490
    rest = list_lots(store, "acme")[-1]
    assert rest.paid_minor is not None
    unspent = spent_of(list_lots(store, "acme"), usage, "acme", datetime.now(UTC))
    assert rest.credits == unspent[rest.grant_id].unspent + unspent[rest.grant_id].consumed
    refund_lot(store, demo, NONE, rest.grant_id, reason="all of it")
    (now,) = purchase_history(store, "acme")
    assert now.state in ("partly_refunded", "refunded")
    assert now.refunded_minor <= bought.price_minor
    assert all(x.ending for x in list_lots(store, "acme"))
    assert list_lots(store, "acme")[1].grant_id == bonus.grant_id
    with pytest.raises(MeterhouseError, match="ended by refund"):
        refund_lot(store, demo, NONE, rest.grant_id, reason="again")


def test_a_refund_reported_by_the_gateway_is_posted_once(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = pay(store, demo, offer)
    made = demo.refund(str(bought.session_id), 490, "EUR", "k", "dashboard")
    signed = demo.notice("refund.created", reversal_id=made.reversal_id)
    assert receive_webhook(store, demo, NONE, *signed).outcome == "accepted"
    assert post_reversal(store, "demo", NONE, made).outcome == "already"
    assert settle_pending(store, demo, NONE).reversals == 0
    assert purchase_history(store, "acme")[0].state == "partly_refunded"
    lot, bonus, rest = list_lots(store, "acme")
    assert lot.ending is not None
    assert bonus.ending is None
    assert (rest.credits, rest.paid_minor) == (900, 4410)


def test_a_chargeback_voids_the_rest_and_books_the_spent_part_as_owed(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = pay(store, demo, offer)
    taken = demo.charge_back(str(bought.session_id), "fraudulent")
    assert taken.amount_minor == 4900
    # The bonus never expires, so it burns last: all 350 come from what was paid for.
    assert settle_pending(store, demo, Used("350")).reversals == 1
    lot, bonus = list_lots(store, "acme")
    assert lot.ending is not None
    assert (lot.ending.cause, lot.ending.receivable_minor) == ("chargeback", 4900 * 350 // 1000)
    assert bonus.ending is not None
    assert bonus.ending.receivable_minor is None
    assert purchase_history(store, "acme")[0].state == "charged_back"
    assert settle_pending(store, demo, Used("350")).reversals == 0


def test_more_money_back_than_is_unspent_is_named(
    store: Store, demo: DemoGateway, offer: int
) -> None:
    bought = pay(store, demo, offer)
    made = demo.refund(str(bought.session_id), 4900, "EUR", "k", "goodwill")
    assert "1470 minor units more" in post_reversal(store, "demo", Used("300"), made).remark
    lot = list_lots(store, "acme")[0]
    assert lot.ending is not None
    assert lot.ending.refunded_minor == 4900
    assert purchase_history(store, "acme")[0].state == "refunded"


WORKER = """
import json, sys, threading
from pathlib import Path
from billing.gateways.demo import DemoGateway
from billing.purchases import fulfil
from billing.store import open_store
import billing.store
from warehouse.settings import load_settings

todo, done = Path(sys.argv[1]), Path(sys.argv[2])
settings = load_settings()
billing.store._WAIT_SECONDS = 600
with open_store(settings) as store, done.open("ab", buffering=0) as log:
    demo = DemoGateway(settings)
    seen = {int(line) for line in done.read_bytes().split() if line.isdigit()}
    jobs = [job for job in json.loads(todo.read_text()) if job[0] not in seen]
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not jobs:
                    return
                number, session_id = jobs.pop()
            fulfil(store, demo, demo.retrieve_session(session_id))
            log.write(b"%d\\n" % number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_1000_fulfilments_of_50_purchases_killed_and_resumed_grant_each_once(
    store: Store, settings: Settings, demo: DemoGateway, offer: int, tmp_path: Path
) -> None:
    chance = random.Random(7)
    sessions = []
    for number in range(50):
        session = session_of(demo, start(store, demo, offer, f"click {number}"))
        demo.pay(session.session_id)
        sessions.append(session.session_id)
    jobs = [(number, sessions[number % 50]) for number in range(1000)]
    chance.shuffle(jobs)
    environment = {**os.environ, **settings.environment()}

    def run(part: int) -> subprocess.Popen[bytes]:
        files = [str(tmp_path / f"{part}.todo"), str(tmp_path / f"{part}.done")]
        command = [sys.executable, "-c", WORKER, *files]
        return subprocess.Popen(command, cwd=ROOT, env=environment)

    for part in range(4):
        (tmp_path / f"{part}.todo").write_text(json.dumps(jobs[part::4]))

    def done(part: int) -> int:
        file = tmp_path / f"{part}.done"
        return len(file.read_bytes().split()) if file.exists() else 0

    workers = [run(part) for part in range(4)]
    for part in (0, 1, 2, 3, 0, 1, 2, 3):
        before = done(part)
        while done(part) == before:
            assert workers[part].poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        workers[part].send_signal(signal.SIGKILL)
        workers[part].wait()
        workers[part] = run(part)
    assert [worker.wait() for worker in workers] == [0] * 4
    assert sum(map(done, range(4))) >= 1000
    with store.reading() as connection:
        kinds = connection.execute(
            sa.select(credit_grant.c.kind, sa.func.count()).group_by(credit_grant.c.kind)
        ).all()
        paid = connection.scalar(sa.select(sa.func.count()).where(payment_event.c.kind == "paid"))
    assert dict(map(tuple, kinds)) == {"purchased": 50, "promotional": 50}
    assert paid == 50
    assert get_purchase(store, "no purchase") is None
