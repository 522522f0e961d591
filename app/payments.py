"""HTTP routes of payment: webhooks of the gateways, the way back from a checkout, the demo's page.

They are thin: what happens is decided in ``billing``. A webhook is known by its signature; the way
back and the demo's page are for who may buy for the purchase's account.
"""

import logging
import threading
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from html import escape
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app.context import gate_of
from app.deeds import FINISH_PURCHASE, PAY_AT_DEMO
from app.gate import UnknownAccount
from app.markup import support
from app.users import Deed, Forbidden, NotSignedIn
from billing.gateways import gateway_for
from billing.gateways.demo import CHECKOUT_PATH, DemoGateway
from billing.gateways.protocol import Gateway, GatewayError, UnknownSession
from billing.money import shown
from billing.purchases import Purchase, fulfil, get_purchase
from billing.store import Store, open_store
from billing.usage_sums import LakeUsage
from billing.webhooks import LARGEST_BODY, receive_webhook
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings, load_settings

CREDITS_PAGE = "/credits"
"""Where the customer ends up, with ``?account=…&purchase=…``."""

RETURN_PATH = "/checkout/return"

_LOG = logging.getLogger("meterhouse.app")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@lru_cache(maxsize=2)
def shared_store(settings: Settings) -> Store:
    """The operational store of this process; its connections may be used by any thread."""
    return open_store(settings)


async def webhook(request: Request) -> Response:
    """POST /webhooks/{gateway}: 200 done, 400 forged, 404 not known, 500 send it again."""
    settings = load_settings()
    gateway = _gateway(settings, request.path_params["gateway"])
    if gateway is None:
        return PlainTextResponse("this gateway is not in use", 404)
    body = await _body(request)
    signature = request.headers.get(gateway.signature_header)

    def receive() -> Response:
        received = receive_webhook(
            shared_store(settings), gateway, LakeUsage(settings), body, signature
        )
        if received.status != 200:
            _LOG.warning("webhook of %s %s: %s", gateway.name, received.outcome, received.detail)
        return PlainTextResponse(received.outcome, received.status)

    try:
        return await run_in_threadpool(receive)
    except MeterhouseError as error:
        _LOG.error("webhook of %s: %s", gateway.name, error)
        return PlainTextResponse("try again later", 500)


async def checkout_return(request: Request) -> Response:
    """GET /checkout/return?purchase=…: fulfil what the gateway says is paid, show the credits.

    Where the gateway does not answer now, the page shows the purchase as pending, and webhook or
    sweep settle it.
    """
    purchase_id = request.query_params.get("purchase", "")
    settings = load_settings()

    def come_back() -> Response:
        store = shared_store(settings)
        bought = get_purchase(store, purchase_id)
        if refused := _refusal(request, bought, FINISH_PURCHASE):
            return refused
        assert bought is not None
        gateway = _gateway(settings, bought.gateway)
        if gateway and bought.session_id and bought.state in ("open", "expired"):
            try:
                fulfil(store, gateway, gateway.retrieve_session(bought.session_id))
            except GatewayError as error:
                _LOG.error("purchase %s cannot be settled now: %s", bought.number, error)
        query = urlencode({"account": bought.account_id, "purchase": bought.purchase_id})
        return RedirectResponse(f"{CREDITS_PAGE}?{query}", 303, headers=_HEADERS)

    return await run_in_threadpool(come_back)


async def demo_checkout(request: Request) -> Response:
    """GET /demo/checkout/{session}: the demo gateway's page to pay on."""
    return await _at_demo(request, _checkout_page)


async def demo_checkout_action(request: Request) -> Response:
    """POST /demo/checkout/{session}: pay, decline or cancel, from our own page only."""
    form = parse_qs((await _body(request)).decode("utf-8", "replace"))
    action, token = form.get("action", [""])[0], form.get("token", [""])[0]
    is_foreign = not _is_from_here(request)
    host, port = request.scope.get("server") or ("127.0.0.1", None)

    def act(demo: DemoGateway, session_id: str) -> Response:
        if is_foreign or not demo.is_token(session_id, token):
            return _page(
                "Not from here", "<p>This form was not sent by the checkout page.</p>", 403
            )
        order = demo.order(session_id)
        if action == "cancel":
            return RedirectResponse(order.return_url, 303, headers=_HEADERS)
        if action == "decline":
            return _checkout_page(demo, session_id, "The card was declined (as you asked).")
        if action != "pay":
            return _page("Unknown action", "<p>Pay, decline or cancel.</p>", 400)
        signed = demo.pay(session_id)
        if signed is None:
            return _checkout_page(demo, session_id)
        _deliver(host, port, *signed)
        return RedirectResponse(order.return_url, 303, headers=_HEADERS)

    return await _at_demo(request, act)


routes = [
    Route("/webhooks/{gateway}", webhook, methods=["POST"]),
    Route(RETURN_PATH, checkout_return, methods=["GET"]),
    Route(f"{CHECKOUT_PATH}/{{session}}", demo_checkout, methods=["GET"]),
    Route(f"{CHECKOUT_PATH}/{{session}}", demo_checkout_action, methods=["POST"]),
]


def _gateway(settings: Settings, name: str) -> Gateway | None:
    """The gateway in use if it has this name: the demo is gone once real keys are given."""
    try:
        gateway = gateway_for(settings)
    except MeterhouseError:
        return None
    return gateway if gateway.name == name else None


def _refusal(request: Request, bought: Purchase | None, deed: Deed) -> Response | None:
    """Why who sent the request may not do this with a purchase; None if they may."""
    unknown = "<p>There is no such purchase.</p>"
    try:
        gate = gate_of(request)
        if bought is None:
            return _page("Unknown purchase", unknown, 404, is_demo=False)
        gate.enter(bought.account_id).allow(deed, purchase=bought.purchase_id)
    except NotSignedIn:
        here = '<p><a href="/">Sign in</a> first. A payment that was made is not lost.</p>'
        return _page("Sign in", here, 401, is_demo=False)
    except UnknownAccount:
        return _page("Unknown purchase", unknown, 404, is_demo=False)
    except Forbidden as error:
        return _page("Not for this role", f"<p>{escape(str(error))}</p>", 403, is_demo=False)
    return None


async def _at_demo(request: Request, answer: Callable[[DemoGateway, str], Response]) -> Response:
    settings, session_id = load_settings(), request.path_params["session"]
    demo = _gateway(settings, "demo")
    if not isinstance(demo, DemoGateway):
        return _page("Not here", "<p>The demo gateway is not in use.</p>", 404)

    def checked() -> Response:
        bought = get_purchase(shared_store(settings), demo.order(session_id).purchase_id)
        return _refusal(request, bought, PAY_AT_DEMO) or answer(demo, session_id)

    try:
        return await run_in_threadpool(checked)
    except UnknownSession:
        return _page("Unknown checkout", "<p>There is no such checkout.</p>", 404)


async def _body(request: Request) -> bytes:
    """The body, cut a byte past the most that is read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            break
    return body[: LARGEST_BODY + 1]


def _is_from_here(request: Request) -> bool:
    """Whether a browser sent the form from a page of this host."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _deliver(host: str, port: int | None, body: bytes, signature: str) -> None:
    """Send the demo's webhook to this server, from outside the request as a gateway would."""
    if port is None:
        return
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '') else host}:{port}/webhooks/demo"  # noqa: S104

    def send() -> None:
        headers = {DemoGateway.signature_header: signature, "Content-Type": "application/json"}
        request = urllib.request.Request(address, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=20):  # noqa: S310
                pass
        except OSError as error:
            _LOG.warning("the demo gateway's webhook did not arrive: %s", error)

    threading.Thread(target=send, name="demo-webhook", daemon=True).start()


def _checkout_page(demo: DemoGateway, session_id: str, note: str = "") -> Response:
    order, session = demo.order(session_id), demo.retrieve_session(session_id)
    back = f'<p><a href="{escape(order.return_url)}">Back</a></p>'
    if session.is_paid:
        return _page("Paid", f"<p>This checkout is paid.</p>{back}")
    if session.is_over:
        return _page("Expired", f"<p>This checkout has expired; nothing was paid.</p>{back}", 410)
    price = escape(shown(order.amount_minor, order.currency))
    told = f'<p class="note" role="status">{escape(note)}</p>' if note else ""
    return _page(
        "Checkout",
        f"<p>{escape(order.description)}</p><p class='price'>{price}</p>{told}"
        f'<form method="post"><input type="hidden" name="token" '
        f'value="{escape(demo.token(session_id))}">'
        '<button class="pay" name="action" value="pay">Pay</button>'
        '<button name="action" value="decline">Decline the card</button>'
        '<button name="action" value="cancel">Cancel</button></form>',
    )


ICON = '<link rel="icon" href="/app/static/icon.png">'
"""The app's own icon, for pages that Streamlit does not draw."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: Canvas; color: CanvasText; }
main { max-width: 26rem; margin: 8vh auto; padding: 1.5rem; border: 1px solid GrayText;
       border-radius: 12px; }
.demo { background: #8a5300; color: #fff; text-align: center; padding: .6rem; font-weight: 600; }
.price { font-size: 2rem; font-weight: 600; white-space: nowrap; margin: .2rem 0 1rem; }
.note { color: light-dark(#b3261e, #f2b8b5); }
.help { margin: 1.5rem 0 0; font-size: .9rem; }
a { color: light-dark(#1d4ed8, #a5b4fc); }
form { display: grid; gap: .6rem; }
button { font: inherit; padding: .7rem; border-radius: 8px; border: 1px solid GrayText; }
.pay { background: #1d4ed8; border-color: #1d4ed8; color: #fff; font-weight: 600; }
"""


def _page(title: str, content: str, status: int = 200, *, is_demo: bool = True) -> HTMLResponse:
    """A page that asks no other host for anything; ``content`` is escaped already."""
    banner = '<div class="demo">Demo payment, no money moves</div>' if is_demo else ""
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{ICON}<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"{banner}<main><h1>{escape(title)}</h1>{content}"
        f'<p class="help">Questions? {support(load_settings())}</p></main></body></html>',
        status,
        headers=_HEADERS,
    )
