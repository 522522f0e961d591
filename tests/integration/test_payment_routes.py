"""The payment routes over real HTTP: webhooks, the way back, the demo's page, Stripe's API."""

import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
import stripe
from starlette.applications import Starlette

from app.payments import routes
from billing.accounts import add_account
from billing.gateways import gateway_for
from billing.gateways.protocol import GatewayError, UnknownSession
from billing.gateways.signature import sign, verify
from billing.gateways.stripe_checkout import from_stripe, to_stripe
from billing.grants import list_lots
from billing.lots import NoUsage
from billing.packages import add_offer, make_offer
from billing.purchases import Purchase, purchase_history, start_purchase
from billing.reversals import refund_lot
from billing.schema import webhook_receipt
from billing.settling import settle_pending
from billing.store import Store, open_store
from tests.integration.payments_lab import FakeStripe, body_of, serving
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings, load_settings

SECRET = "whsec_test"
NONE = NoUsage()


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """GET, or POST with a body; redirects are not followed."""
    request = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=120) as answer:
            return Answer(answer.status, answer.read().decode(), dict(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), dict(error.headers))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("OPERATIONS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "PAYMENTS"):
        monkeypatch.setenv(f"METERHOUSE_{name}", "")
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    with open_store(load_settings()) as opened:
        add_account(opened, "acme", currency="EUR", email="a@acme.example")
        yield opened


@pytest.fixture
def server(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(Starlette(routes=routes)) as address:
        monkeypatch.setenv("METERHOUSE_APP_URL", address)
        yield address


@pytest.fixture
def fake(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    fake = FakeStripe()
    with serving(fake.app()) as address:
        monkeypatch.setenv("METERHOUSE_STRIPE_SECRET_KEY", "sk_test_meterhouse")
        monkeypatch.setenv("METERHOUSE_STRIPE_WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv("METERHOUSE_STRIPE_API_BASE", address)
        yield fake


def buy(store: Store, server: str, key: str = "click") -> str:
    now = datetime.now(UTC)
    made = make_offer(
        "team",
        name="Team <b>&",
        credits="1000",
        bonus_credits="50",
        currency="EUR",
        price_minor=4900,
        effective_from=now,
    )
    offer = add_offer(store, made, now=now).offer_id
    gateway = gateway_for(load_settings())
    return start_purchase(store, gateway, "acme", offer, key, f"{server}/checkout/return")


def bought(store: Store) -> Purchase:
    return purchase_history(store, "acme")[0]


def form_of(page: str, action: str) -> bytes:
    token = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert token is not None
    return urllib.parse.urlencode({"token": token[1], "action": action}).encode()


def wait_for(store: Store, outcome: str) -> None:
    """Until a webhook with this outcome has been recorded."""
    until = time.monotonic() + 120
    query = sa.select(webhook_receipt.c.outcome)
    while time.monotonic() < until:
        with store.reading() as connection:
            if outcome in set(connection.scalars(query)):
                return
        time.sleep(0.02)
    raise AssertionError(f"no webhook was {outcome}")


def test_paying_on_the_demos_page_gives_credits_and_leads_to_the_credits_page(
    store: Store, server: str
) -> None:
    checkout = buy(store, server)
    assert checkout.startswith(f"{server}/demo/checkout/demo_")
    page = ask(checkout)
    assert page.status == 200
    assert "Demo payment, no money moves" in page.text
    assert "49.00 EUR" in page.text
    assert "Team &lt;b&gt;&amp;: 1,000 credits + 50 bonus" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"(src|href)=.?https?://(?!127\.0\.0\.1)", page.text)
    paid = ask(checkout, form_of(page.text, "pay"), {"Origin": server})
    assert paid.status == 303
    back = ask(paid.headers["location"])
    assert back.status == 303
    assert back.headers["location"] == (
        f"/credits?account=acme&purchase={bought(store).purchase_id}"
    )
    assert bought(store).state == "paid"
    assert len(list_lots(store, "acme")) == 2
    wait_for(store, "accepted")
    assert len(list_lots(store, "acme")) == 2
    assert "This checkout is paid" in ask(checkout).text


def test_declining_and_cancelling_pay_nothing(store: Store, server: str) -> None:
    checkout = buy(store, server)
    page = ask(checkout).text
    declined = ask(checkout, form_of(page, "decline"))
    assert "The card was declined" in declined.text
    assert ask(checkout, form_of(page, "steal")).status == 400
    cancelled = ask(checkout, form_of(page, "cancel"))
    assert ask(cancelled.headers["location"]).status == 303
    assert bought(store).state == "open"
    assert list_lots(store, "acme") == []


def test_a_form_from_another_page_pays_nothing(store: Store, server: str) -> None:
    checkout = buy(store, server)
    form = form_of(ask(checkout).text, "pay")
    assert ask(checkout, b"action=pay").status == 403
    assert ask(checkout, b"action=pay&token=00").status == 403
    assert ask(checkout, form, {"Origin": "https://evil.example"}).status == 403
    assert ask(checkout, form, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert bought(store).state == "open"


def test_what_does_not_exist_is_not_found(store: Store, server: str) -> None:
    buy(store, server)
    assert ask(f"{server}/demo/checkout/demo_guess").status == 404
    assert ask(f"{server}/checkout/return?purchase=guess").status == 404
    assert ask(f"{server}/checkout/return").status == 404
    assert ask(f"{server}/webhooks/stripe", b"{}").status == 404
    assert ask(f"{server}/webhooks/paypal", b"{}").status == 404
    assert ask(f"{server}/webhooks/demo").status == 405


def test_with_real_keys_the_demo_gateway_is_gone(
    store: Store, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = buy(store, server)
    form = form_of(ask(checkout).text, "pay")
    monkeypatch.setenv("METERHOUSE_STRIPE_SECRET_KEY", "sk_test_meterhouse")
    monkeypatch.setenv("METERHOUSE_STRIPE_WEBHOOK_SECRET", SECRET)
    assert ask(checkout).status == 404
    assert ask(checkout, form).status == 404
    assert ask(f"{server}/webhooks/demo", b"{}").status == 404
    gateway = gateway_for(load_settings())
    later = datetime.now(UTC) + timedelta(hours=25)
    assert settle_pending(store, gateway, NONE, later).expired == 1


def test_stripes_webhook_gives_credits_once_and_forged_ones_give_nothing(
    store: Store, server: str, fake: FakeStripe
) -> None:
    assert buy(store, server) == "https://checkout.stripe.example/cs_test_0"
    assert fake.sessions["cs_test_0"]["success_url"].endswith(bought(store).purchase_id)
    body = body_of(fake.pay("cs_test_0"))
    stamp = stripe.WebhookSignature.generate_signature_header
    good = stamp(body.decode(), SECRET)
    hook = f"{server}/webhooks/stripe"
    old = stamp(body.decode(), SECRET, timestamp=int(time.time()) - 3600)
    for signature in ("", "t=1,v1=0", stamp(body.decode(), "whsec_guess"), old):
        assert ask(hook, body, {"Stripe-Signature": signature}).status == 400
    assert ask(hook, body.replace(b"4900", b"1"), {"Stripe-Signature": good}).status == 400
    assert list_lots(store, "acme") == []
    assert ask(hook, body, {"Stripe-Signature": good}).text == "accepted"
    assert ask(hook, body, {"Stripe-Signature": good}).text == "replayed"
    assert bought(store).state == "paid"
    assert len(list_lots(store, "acme")) == 2


def test_stripe_is_asked_what_a_session_is_worth_whatever_the_webhook_says(
    store: Store, server: str, fake: FakeStripe
) -> None:
    buy(store, server)
    event = fake.pay("cs_test_0", payment_status="unpaid")
    event["data"]["object"]["payment_status"] = "paid"
    body = body_of(event)
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    assert ask(f"{server}/webhooks/stripe", body, {"Stripe-Signature": signature}).status == 200
    assert bought(store).state == "open"
    fake.sessions["cs_test_0"].update({"payment_status": "paid", "amount_total": 1})
    assert ask(f"{server}/checkout/return?purchase={bought(store).purchase_id}").status == 303
    assert bought(store).state == "mismatched"
    assert list_lots(store, "acme") == []


def test_a_gateway_that_is_down_asks_for_the_webhook_again_and_the_sweep_settles(
    store: Store, server: str, fake: FakeStripe
) -> None:
    buy(store, server)
    body = body_of(fake.pay("cs_test_0"))
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    fake.is_down = True
    assert ask(f"{server}/webhooks/stripe", body, {"Stripe-Signature": signature}).status == 500
    gateway = gateway_for(load_settings())
    settled = settle_pending(store, gateway, NONE)
    assert (settled.granted, settled.pending, len(settled.problems)) == (0, 1, 1)
    fake.is_down = False
    assert settle_pending(store, gateway, NONE).granted == 1
    assert ask(f"{server}/webhooks/stripe", body, {"Stripe-Signature": signature}).status == 200
    assert len(list_lots(store, "acme")) == 2


def test_a_refund_through_stripe_pays_back_in_proportion_once(
    store: Store, server: str, fake: FakeStripe
) -> None:
    buy(store, server)
    fake.pay("cs_test_0")
    gateway = gateway_for(load_settings())
    assert settle_pending(store, gateway, NONE).granted == 1
    lot = list_lots(store, "acme")[0]
    refund_lot(store, gateway, NONE, lot.grant_id, Decimal(100), reason="asked")
    (refund,) = fake.refunds.values()
    assert (refund["amount"], refund["payment_intent"]) == (490, "pi_0")
    assert bought(store).refunded_minor == 490
    assert settle_pending(store, gateway, NONE).reversals == 0
    body = body_of(fake.events[-1])
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    assert ask(f"{server}/webhooks/stripe", body, {"Stripe-Signature": signature}).status == 200
    assert bought(store).refunded_minor == 490


def test_a_chargeback_at_stripe_counts_when_the_money_is_withdrawn(
    store: Store, server: str, fake: FakeStripe
) -> None:
    buy(store, server)
    fake.pay("cs_test_0")
    gateway = gateway_for(load_settings())
    settle_pending(store, gateway, NONE)
    dispute = {
        "id": "dp_1",
        "amount": 4900,
        "currency": "eur",
        "payment_intent": "pi_0",
        "created": int(time.time()),
        "reason": "fraudulent",
    }
    fake.event("charge.dispute.created", dispute)
    assert settle_pending(store, gateway, NONE).reversals == 0
    fake.event("charge.dispute.funds_withdrawn", dispute)
    fake.event("charge.dispute.funds_withdrawn", {**dispute, "payment_intent": "pi_other"})
    assert settle_pending(store, gateway, NONE).reversals == 1
    assert bought(store).state == "charged_back"
    assert all(lot.ending for lot in list_lots(store, "acme"))


def test_an_expired_session_and_a_wrong_key_are_told_apart(
    store: Store, server: str, fake: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(store, server)
    gateway = gateway_for(load_settings())
    with pytest.raises(UnknownSession):
        gateway.retrieve_session("cs_test_guess")
    later = datetime.now(UTC) + timedelta(hours=25)
    assert settle_pending(store, gateway, NONE, later).expired == 1
    assert gateway.expire_session("cs_test_0").is_over
    monkeypatch.setenv("METERHOUSE_STRIPE_SECRET_KEY", "sk_test_secret")
    with pytest.raises(GatewayError, match="METERHOUSE_STRIPE_SECRET_KEY") as error:
        buy(store, server, "other")
    assert "sk_test_secret" not in str(error.value)


def test_one_key_without_the_other_and_payments_that_are_off_are_clear_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(MeterhouseError, match="needs both"):
        gateway_for(Settings(home=tmp_path, stripe_secret_key="sk_test_x"))
    with pytest.raises(MeterhouseError, match="needs both"):
        gateway_for(Settings(home=tmp_path, payments="stripe"))
    with pytest.raises(MeterhouseError, match="is off"):
        gateway_for(Settings(home=tmp_path, payments="off"))
    assert gateway_for(Settings(home=tmp_path)).name == "demo"
    assert "sk_test_x" not in repr(Settings(home=tmp_path, stripe_secret_key="sk_test_x"))


def test_our_signatures_are_stripes() -> None:
    now = datetime.now(UTC)
    header = sign(b'{"a": 1}', SECRET, now)
    stripe.WebhookSignature.verify_header(b'{"a": 1}', header, SECRET, 300)
    verify(b"x", stripe.WebhookSignature.generate_signature_header("x", SECRET), SECRET, now)


@pytest.mark.parametrize(
    ("currency", "minor", "theirs"),
    [("EUR", 4900, 4900), ("JPY", 500, 500), ("ISK", 500, 50000), ("MGA", 500, 5), ("KWD", 10, 10)],
)
def test_amounts_are_counted_as_stripe_counts_them(currency: str, minor: int, theirs: int) -> None:
    assert to_stripe(minor, currency) == theirs
    assert from_stripe(theirs, currency) == minor


def test_an_amount_that_stripe_cannot_take_is_refused() -> None:
    for currency in ("MGA", "KWD"):
        with pytest.raises(MeterhouseError, match="in larger steps"):
            to_stripe(501, currency)
