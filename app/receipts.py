"""Receipts of purchases: a plain page to print or to keep, for who may see documents."""

from html import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from app import formats
from app.context import gate_of
from app.deeds import READ_RECEIPT
from app.gate import UnknownAccount
from app.markup import support
from app.payments import ICON
from app.users import Forbidden, NotSignedIn
from billing.accounts import get_account
from billing.purchases import Purchase, get_purchase
from billing.terms import Term
from warehouse.settings import Settings, load_settings

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; background: Canvas; color: CanvasText; }
main { max-width: 42rem; margin: 6vh auto; padding: 0 1.5rem; }
header { display: flex; justify-content: space-between; gap: 1rem; flex-wrap: wrap; }
h1 { font-size: 1.5rem; margin: 0; }
.soft { color: GrayText; }
.demo { border: 2px solid; padding: .5rem .8rem; font-weight: 600; border-radius: 8px; }
dl { display: grid; grid-template-columns: 9rem 1fr; gap: .2rem 1rem; margin: 1.5rem 0; }
dt { color: GrayText; }
dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; margin: 1.5rem 0; }
th { text-align: left; font-weight: 500; color: GrayText; }
th, td { padding: .5rem 0; border-bottom: 1px solid #8885; overflow-wrap: anywhere; }
td:last-child, th:last-child { text-align: right; white-space: nowrap; padding-left: 1rem; }
tfoot td { font-weight: 650; border-bottom: 0; font-size: 1.1rem; }
@media print { main { margin: 0; max-width: none; } }
"""


async def receipt(request: Request) -> Response:
    """GET /receipts/{purchase}: the receipt of a paid purchase; ``?download=1`` as a file."""
    settings = load_settings()

    def answer() -> Response:
        gate = gate_of(request)
        store = gate.store() if gate.has_store() else None
        bought = get_purchase(store, request.path_params["purchase"]) if store else None
        if store is None or bought is None:
            raise UnknownAccount
        reader = gate.enter(bought.account_id)
        if bought.paid_at is None:
            return PlainTextResponse(
                "There is no such receipt: only what was paid has one.\n", 404, headers=HEADERS
            )
        reader.allow(READ_RECEIPT, purchase=bought.purchase_id)
        terms = get_account(store, bought.account_id, now=bought.paid_at).current
        headers = dict(HEADERS)
        if request.query_params.get("download"):
            headers["Content-Disposition"] = f'attachment; filename="receipt-{bought.number}.html"'
        return HTMLResponse(receipt_page(bought, terms, settings), headers=headers)

    try:
        return await run_in_threadpool(answer)
    except NotSignedIn:
        return PlainTextResponse("Sign in to see this receipt.\n", 401, headers=HEADERS)
    except UnknownAccount:
        return PlainTextResponse("There is no such receipt.\n", 404, headers=HEADERS)
    except Forbidden as forbidden:
        return PlainTextResponse(f"{forbidden}\n", 403, headers=HEADERS)


def receipt_page(bought: Purchase, terms: Term, settings: Settings) -> str:
    """The receipt of a paid purchase; times in the account's zone, as its terms were then."""
    zone = terms.time_zone
    lines = [(f"{bought.name}: {formats.exact(bought.credits)} credits", bought.price_minor)]
    if bought.bonus_credits:
        lines.append((f"Bonus: {formats.exact(bought.bonus_credits)} credits", 0))
    back = [
        (
            ("Refunded" if event.kind == "refunded" else "Charged back")
            + f" {formats.moment(event.occurred_at, zone)}",
            -(event.amount_minor or 0),
        )
        for event in bought.events
        if event.kind in ("refunded", "charged_back")
    ]
    rows = "".join(
        f"<tr><td>{escape(text)}</td><td>{escape(formats.money(minor, bought.currency))}</td></tr>"
        for text, minor in [*lines, *back]
    )
    total = formats.money(bought.price_minor - bought.refunded_minor, bought.currency)
    facts = [
        ("Account", f"{terms.name} ({bought.account_id})"),
        ("E-mail", terms.email or formats.DASH),
        ("Paid", formats.moment(bought.paid_at, zone)),
        ("Paid by", "demo gateway" if bought.gateway == "demo" else bought.gateway.title()),
        ("Purchase", bought.purchase_id),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    demo = '<p class="demo">Demo payment, no money moved</p>' if bought.gateway == "demo" else ""
    title = f"Receipt {bought.number}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{ICON}<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1><div>{escape(settings.platform_name)}"
        f'<div class="soft">{support(settings)}</div></div></header>{demo}'
        f"<dl>{listed}</dl><table><thead><tr><th>What</th><th>Amount</th></tr></thead>"
        f"<tbody>{rows}</tbody><tfoot><tr><td>Paid</td><td>{escape(total)}</td></tr></tfoot>"
        '</table><p class="soft">A receipt of payment, not an invoice.</p></main></body></html>'
    )


routes = [Route("/receipts/{purchase}", receipt, methods=["GET"])]
