"""Contents of issued invoices for tests of the document, made by the code that issues them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from billing.invoices.charges import Charge, Line, MonthCharges, Tax, lines_of, totals_of
from billing.invoices.issued import as_json
from billing.invoices.parties import Issuer, Profile

JULY, AUGUST = date(2026, 7, 1), date(2026, 8, 1)
GERMAN = Tax("S", Decimal(19))
REVERSE = Tax("AE", Decimal(0))

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 26"><circle cx="13" cy="13" r="12"'
    ' fill="#1f4e8c"/><path d="M7 14l4 4 8-10" stroke="#fff" stroke-width="3" fill="none"/></svg>'
)

ISSUER = Issuer(
    issuer_id="main",
    name="Craveva AI GmbH",
    street="Torstraße 1",
    postcode="10119",
    city="Berlin",
    country="DE",
    tax_id="DE123456789",
    email="billing@craveva.example",
    register="HRB 12345 B",
    iban="DE89370400440532013000",
    logo=LOGO,
    footer="Geschäftsführung: Ann Example",
)

RECIPIENT = Profile(
    account_id="acme",
    effective_from=date(1970, 1, 1),
    name="Acme Ltd",
    street="1 High Street",
    postcode="D02 AF30",
    city="Dublin",
    country="IE",
    tax_id="IE6388047V",
    tax_treatment="standard",
    language="en",
    buyer_reference="PO-77",
)

STATEMENT = {
    "opening": Decimal("120.5"), "late": Decimal("-3.25"), "granted": Decimal(10000),
    "invoiced": Decimal(0), "used": Decimal("9870.125"), "forfeited": Decimal(50),
    "closing": Decimal("197.125"),
}  # fmt: skip

USAGE = [
    {"category": "llm", "model": "gpt-5", "events": 18_233, "tokens": 91_822_001,
     "credits": Decimal("6120.5"), "net_minor": None},
    {"category": "image", "model": "dall-e-3", "events": 402, "tokens": 0,
     "credits": Decimal("2749.625"), "net_minor": None},
    {"category": "sql", "model": "(none)", "events": 9_120, "tokens": 0,
     "credits": Decimal("1000"), "net_minor": None},
]  # fmt: skip


def content(
    lines: Sequence[Line],
    *,
    series: str = "invoice",
    currency: str = "EUR",
    recipient: Profile = RECIPIENT,
    issuer: Issuer = ISSUER,
    **more: Any,
) -> dict[str, Any]:
    """A content as it is stored."""
    made = as_json(
        {
            "issuer": issuer,
            "recipient": recipient,
            "plan": "prepaid",
            "series": series,
            "number": "INV-2026-000042" if series == "invoice" else "CN-2026-000003",
            "issue_date": date(2026, 9, 4),
            "account_id": recipient.account_id,
            "month": AUGUST,
            "currency": currency,
            "corrects": None,
            "lines": lines,
            "totals": totals_of(lines),
            **more,
        }
    )
    assert isinstance(made, dict)
    return made


def lines(*charges: Charge, tax: Tax = GERMAN, currency: str = "EUR") -> list[Line]:
    return lines_of(AUGUST, {AUGUST: MonthCharges(tax, charges)}, [], currency)


PURCHASE = Charge("purchase", Decimal(10000), gross_minor=107_100, paid_minor=107_100)
OVERAGE = Charge("overage", Decimal("1234.567891234"), Decimal("0.0125"))
BOOK = {"statement": STATEMENT, "usage": USAGE}
GERMAN_RECIPIENT = replace(
    RECIPIENT, name="Müller & Söhne KG", street="Lange Straße 5", postcode="20095", city="Hamburg",
    country="DE", tax_id="DE811907980", language="de",
)  # fmt: skip
AGENTS = [{"agent": f"agent-{n}", "events": 10 * n, "credits": Decimal(n)} for n in range(1, 4)]


def samples() -> dict[str, dict[str, Any]]:
    """One of each kind."""
    usage = Charge("usage", Decimal("9870.125"), Decimal("0.0125"))
    before = lines_of(JULY, {JULY: MonthCharges(GERMAN, (usage,))}, [], "EUR")
    late = lines_of(
        AUGUST,
        {
            JULY: MonthCharges(GERMAN, (replace(usage, credits=Decimal(10_001)),)),
            AUGUST: MonthCharges(GERMAN, (usage,)),
        },
        before,
        "EUR",
    )
    back = lines_of(
        AUGUST,
        {
            JULY: MonthCharges(GERMAN, (replace(usage, credits=Decimal(9_000)),)),
            AUGUST: MonthCharges(GERMAN, ()),
        },
        before,
        "EUR",
    )
    refund = Charge("refund", Decimal(-400), gross_minor=-4_000, paid_minor=-4_000)
    taken = Charge("chargeback", Decimal(-200), gross_minor=-2_000, paid_minor=-5_000)
    goodwill = Line(1, "goodwill", AUGUST, False, Decimal(0), None, -2_500, 0, 0, GERMAN)
    exported = replace(RECIPIENT, tax_treatment="export", tax_id=None, country="US")
    reverse = replace(RECIPIENT, tax_treatment="reverse_charge")
    return {
        "prepaid": content(lines(PURCHASE), **BOOK, agents=AGENTS),
        "overage": content(lines(PURCHASE, OVERAGE), recipient=GERMAN_RECIPIENT, **BOOK),
        "postpaid": content(late, **BOOK),
        "reverse charge": content(
            lines(OVERAGE, tax=REVERSE), recipient=reverse, **BOOK, agents=AGENTS
        ),
        "export in yen": content(
            lines(OVERAGE, tax=Tax("G", Decimal(0)), currency="JPY"),
            currency="JPY", recipient=exported,
        ),
        "zero rate": content(lines(OVERAGE, tax=Tax("Z", Decimal(0)))),
        "covered": content(lines(), **BOOK),
        "rounded": content(lines(replace(PURCHASE, gross_minor=4903, paid_minor=4903))),
        "chargeback": content(lines(PURCHASE, taken)),
        "credit note": content(
            [*back, replace(goodwill, number=2)], series="credit_note",
            recipient=GERMAN_RECIPIENT, corrects="INV-2026-000041", reason="Störung am 3. August",
        ),
        "refund note": content(lines(refund), series="credit_note", corrects="INV-2026-000041"),
    }  # fmt: skip
