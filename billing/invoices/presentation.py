"""An issued invoice's content as the texts that its document shows, in their order. Pure.

A credit note shows what it credits as positive amounts: its name says the direction.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from billing.invoices.texts import WORDS, day_name, money, month_name, number
from billing.validation import next_month

Content = Mapping[str, Any]


def view_of(content: Content) -> dict[str, Any]:
    """What the template lays out: only texts, and lists of them."""
    language = content["recipient"]["language"]
    words = WORDS[language]
    issuer, recipient = content["issuer"], content["recipient"]
    sign = sign_of(content)

    def amount(minor: int) -> str:
        return money(sign * minor, content["currency"], language)

    day = date.fromisoformat
    facts = [
        (words["number"], content["number"]),
        (words["issue_date"], day_name(day(content["issue_date"]), language)),
        (words["period"], month_name(day(content["month"]), language)),
        (words["account"], content["account_id"]),
    ]
    if content["corrects"]:
        facts.append((words["corrects"], content["corrects"]))
    if recipient["tax_id"]:
        facts.append((words["your_tax_id"], recipient["tax_id"]))
    if recipient["buyer_reference"]:
        facts.append((words["reference"], recipient["buyer_reference"]))
    if is_payable(content):
        facts.append((words["due_date"], day_name(due_date(content), language)))
    return {
        "language": language,
        "title": words[content["series"]],
        "accent": issuer["accent"],
        "logo": issuer["logo"],
        "issuer_name": issuer["name"],
        "sender": " · ".join([issuer["name"], issuer["street"], _town(issuer)]),
        "recipient": [recipient["name"], recipient["street"], _town(recipient)],
        "facts": facts,
        "heads": [
            words[n] for n in ("position", "description", "quantity", "unit_price", "amount")
        ],
        "lines": [
            [
                str(line["number"]),
                line_text(content, line),
                _signed_credits(line, sign, language),
                number(Decimal(line["unit_price"]), language) if line["unit_price"] else "",
                amount(line["net_minor"]),
            ]
            for line in content["lines"]
        ],
        "totals": _totals(content, amount, words, language),
        "notes": _notes(content, amount, words, language),
        "statement": _statement(content, words, language),
        "usage": _usage(content, amount, words, language),
        "agents": _agents(content, words, language),
        "legal": _legal(issuer, words),
        "footer": issuer["footer"],
        "page": words["page"],
        "of": words["of"],
    }


def sign_of(content: Content) -> int:
    """-1 for a credit note, whose amounts are stored as negative."""
    return -1 if content["series"] == "credit_note" else 1


def line_text(content: Content, line: Content) -> str:
    """What a line says it is for, in the document's language."""
    month = date.fromisoformat(line["month"])
    return described(line["kind"], month, line["is_correction"], content["recipient"]["language"])


def described(kind: str, month: date, is_correction: bool, language: str) -> str:
    """What a line of a kind and month is for."""
    words = WORDS[language]
    text = words[f"line_{kind}"].format(month=month_name(month, language))
    return words["correction"].format(text=text) if is_correction else text


def due_date(content: Content) -> date:
    """The day until which to pay."""
    days = timedelta(days=content["issuer"]["payment_days"])
    return date.fromisoformat(content["issue_date"]) + days


def is_payable(content: Content) -> bool:
    """Whether the customer still has to pay."""
    return bool(content["totals"]["due_minor"] > 0)


def last_day(content: Content) -> date:
    """The last day of the month that is invoiced."""
    return next_month(date.fromisoformat(content["month"])) - timedelta(days=1)


def _town(party: Content) -> str:
    return f"{party['postcode']} {party['city']}, {party['country']}"


def _signed_credits(line: Content, sign: int, language: str) -> str:
    credits = Decimal(line["credits"]) * sign
    return number(credits, language) if credits else ""


def _totals(content: Content, amount: Any, words: Mapping[str, str], language: str) -> list[Any]:
    totals = content["totals"]
    rows = [(words["net"], amount(totals["net_minor"]), False)]
    for part in totals["taxes"]:
        category = part["tax"]["category"]
        label = words["tax" if category == "S" else f"tax_{category}"].format(
            percent=number(Decimal(part["tax"]["percent"]), language),
            net=amount(part["net_minor"]),
        )
        rows.append((label, amount(part["tax_minor"]), False))
    rows.append((words["gross"], amount(totals["gross_minor"]), False))
    if totals["rounding_minor"]:
        rows.append((words["rounding"], amount(totals["rounding_minor"]), False))
    if totals["paid_minor"]:
        word = "paid" if content["series"] == "invoice" else "given_back"
        rows.append((words[word], amount(-totals["paid_minor"]), False))
    credited = content["series"] == "credit_note" and totals["due_minor"] <= 0
    rows.append((words["credited" if credited else "due"], amount(totals["due_minor"]), True))
    return rows


def _notes(content: Content, amount: Any, words: Mapping[str, str], language: str) -> list[str]:
    notes = []
    if content.get("reason"):
        notes.append(words["reason"].format(reason=content["reason"]))
    if is_payable(content):
        money_due = money(content["totals"]["due_minor"], content["currency"], language)
        notes.append(
            words["please_pay"].format(
                amount=money_due,
                date=day_name(due_date(content), language),
                number=content["number"],
            )
        )
    elif content["totals"]["due_minor"] < 0:
        back = money(-content["totals"]["due_minor"], content["currency"], language)
        notes.append(words["in_your_favour"].format(amount=back))
    else:
        notes.append(words["settled"])
    for category in ("AE", "G"):
        if any(part["tax"]["category"] == category for part in content["totals"]["taxes"]):
            notes.append(words[f"note_{category}"])
    return notes


def _statement(content: Content, words: Mapping[str, str], language: str) -> dict[str, Any] | None:
    statement = content.get("statement")
    if not statement:
        return None
    rows = []
    for name in ("opening", "late", "granted", "invoiced", "used", "forfeited", "closing"):
        credits = Decimal(statement[name])
        if name in ("used", "forfeited"):
            credits = -credits
        if credits or name in ("opening", "used", "closing"):
            rows.append((words[name], number(credits, language)))
    return {"title": words["statement"], "rows": rows}


def _usage(
    content: Content, amount: Any, words: Mapping[str, str], language: str
) -> dict[str, Any] | None:
    rows = content.get("usage")
    if not rows:
        return None
    priced = any(row["net_minor"] is not None for row in rows)
    heads = [words[n] for n in ("category", "model", "events", "tokens", "quantity")]
    return {
        "title": words["usage"],
        "heads": [*heads, words["amount"]] if priced else heads,
        "rows": [
            [
                row["category"],
                row["model"],
                number(Decimal(row["events"]), language),
                number(Decimal(row["tokens"]), language),
                number(Decimal(row["credits"]), language),
                *([amount(row["net_minor"] or 0)] if priced else []),
            ]
            for row in rows
        ],
    }


def _agents(content: Content, words: Mapping[str, str], language: str) -> dict[str, Any] | None:
    rows = content.get("agents")
    if not rows:
        return None
    return {
        "title": words["agents"],
        "heads": [words[n] for n in ("agent", "events", "quantity")],
        "rows": [
            [
                row["agent"],
                number(Decimal(row["events"]), language),
                number(Decimal(row["credits"]), language),
            ]
            for row in rows
        ],
    }


def _legal(issuer: Content, words: Mapping[str, str]) -> list[str]:
    bank = " ".join(issuer["iban"][at : at + 4] for at in range(0, len(issuer["iban"]), 4))
    parts = [
        issuer["name"],
        f"{words['tax_id']} {issuer['tax_id']}",
        issuer["register"],
        f"IBAN {bank}" if bank else "",
        issuer["email"],
    ]
    return [part for part in parts if part]
