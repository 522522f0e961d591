"""Mails of issued invoices and credit notes, through the outbox that alerts use.

A mail is written once an invoice has its document, and only once: its reference is the invoice's
number. The PDF is not copied into the outbox but fetched when the mail is sent. Whatever is killed
in between, running it again writes what is missing and sends what was not sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import quote

import sqlalchemy as sa

from billing import validation
from billing.accounts import list_accounts
from billing.alerts.delivery import send_due
from billing.alerts.letters import Letter, as_html, as_text, one_line
from billing.alerts.outbox import Delivered, Message, domain_of, history, put, refuse_flood
from billing.invoice_schema import invoice, invoice_document
from billing.invoices.issued import (
    MAILS,
    Issued,
    get_issued,
    invoice_of,
    mail_reference,
    read_issued,
)
from billing.invoices.presentation import due_date, is_payable, sign_of
from billing.invoices.rendering import render_missing
from billing.invoices.texts import WORDS, day_name, money, month_name
from billing.schema import outbox_message
from billing.store import Store
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

MAILED_FOR = timedelta(days=30)
"""Older invoices are mailed by hand alone: who gets an address late is not flooded."""

State = Literal["waiting", "sent", "failed", "refused"]

_STATES: Mapping[str | None, State] = {
    None: "waiting",
    "claimed": "waiting",
    "sent": "sent",
    "failed": "failed",
    "given_up": "refused",
}


@dataclass(frozen=True)
class MailState:
    """What became of an invoice's newest mail.

    ``waiting`` was not tried yet, ``failed`` is tried again, ``refused`` was given up: the mail
    server said no for ever, or did not answer for days. ``detail`` is what it said, ``at`` when.
    ``copies`` counts the mails, to whatever address.
    """

    state: State
    recipient: str
    at: datetime
    detail: str
    copies: int


@dataclass(frozen=True)
class Finished:
    """What was rendered, written to be mailed, and sent; ``unaddressed`` have nobody to mail to."""

    rendered: int
    written: int
    delivered: Delivered
    unaddressed: tuple[Issued, ...]


def finish(settings: Settings, store: Store, *, now: datetime | None = None) -> Finished:
    """Render and mail what was issued, after a close or whenever something is missing.

    Raises MeterhouseError for a document that cannot be rendered, when everything else is done.
    """
    failed: MeterhouseError | None = None
    rendered = 0
    try:
        rendered = render_missing(settings, store, now=now)
    except MeterhouseError as error:
        failed = error
    written, unaddressed = write_mails(settings, store, now=now)
    delivered = send_due(settings, store, now=now)
    done = Finished(rendered, written, delivered, tuple(unaddressed))
    if failed:
        raise failed
    return done


def write_mails(
    settings: Settings,
    store: Store,
    *,
    now: datetime | None = None,
) -> tuple[int, list[Issued]]:
    """Write the mails that are missing: how many, and the invoices that have nobody to mail to.

    They go to the address that is registered for the account.
    """
    at = now or datetime.now(UTC)
    addresses = {each.account_id: each.current.email for each in list_accounts(store, now=at)}
    written, unaddressed = 0, []
    for issued in _unmailed(store, at - MAILED_FOR):
        address = addresses[issued.account_id]
        if not address:
            unaddressed.append(issued)
            continue
        written += _put(settings, store, issued, 1, address, at)
    return written, unaddressed


def resend(
    settings: Settings,
    store: Store,
    number: str,
    to: str | None = None,
    *,
    account_id: str | None = None,
    now: datetime | None = None,
) -> str:
    """Write one more mail of an invoice, to its account's address or another; returns the address.

    Raises MeterhouseError where there is no such invoice (of ``account_id``, if it is given), no
    address, one that is none, while a mail to the same address waits, and after too many mails.
    """
    at = now or datetime.now(UTC)
    issued = get_issued(store, number)
    if account_id not in (None, issued.account_id):
        raise MeterhouseError(f"there is no invoice {number}")
    registered = {each.account_id: each.current.email for each in list_accounts(store, now=at)}
    address = validation.email(to) if to else registered[issued.account_id]
    if not address:
        raise MeterhouseError(nobody(issued))
    known = mail_states(store, issued.account_id).get(issued.number)
    if known and known.recipient == address and known.state in ("waiting", "failed"):
        raise MeterhouseError(
            f"a mail of {issued.number} to {address} waits already and is sent by itself; "
            "`meterhouse invoices list --json` shows why it waits"
        )
    with store.reading() as connection:
        refuse_flood(connection, issued.account_id, at)
    copy = known.copies + 1 if known else 1
    _put(settings, store, issued, copy, address, at)
    return address


def mail_states(store: Store, account_id: str | None = None) -> dict[str, MailState]:
    """By number, what became of the newest mail of each invoice that has one."""
    found: dict[str, MailState] = {}
    for row in reversed(history(store, account_id, limit=None, prefix=MAILS)):
        number = invoice_of(row.reference) or ""
        before = found.get(number)
        found[number] = MailState(
            _STATES[row.kind],
            row.recipient,
            row.event_at or row.recorded_at,
            row.detail or "",
            before.copies + 1 if before else 1,
        )
    return found


def nobody(issued: Issued) -> str:
    """What to do about an invoice that has nobody to mail to."""
    return (
        f"{issued.number} is not mailed: {issued.account_id} has no address; "
        f"`meterhouse accounts set {issued.account_id} --email ADDRESS` registers one, "
        f"`meterhouse invoices send {issued.number} --to ADDRESS` mails it once"
    )


def letter_of(issued: Issued, public_url: str) -> Letter:
    """What the mail says beside the PDF, in the recipient's language. Pure."""
    content = issued.content
    language = content["recipient"]["language"]
    words = WORDS[language]

    def shown(minor: int) -> str:
        return money(minor, issued.currency, language)

    title = words["mail_title"].format(
        document=words[issued.series],
        number=issued.number,
        month=month_name(issued.month, language),
        issuer=content["issuer"]["name"],
    )
    totals = issued.totals
    figures = [(words["gross"], shown(sign_of(content) * totals.gross_minor))]
    if is_payable(content):
        figures += [
            (words["due"], shown(totals.due_minor)),
            (words["due_date"], day_name(due_date(content), language)),
        ]
        foot = words["please_pay"].format(
            amount=shown(totals.due_minor),
            date=day_name(due_date(content), language),
            number=issued.number,
        )
    elif totals.due_minor < 0:
        foot = words["in_your_favour"].format(amount=shown(-totals.due_minor))
    else:
        foot = words["settled"]
    return Letter(
        title=title,
        tone="plain",
        figures=[
            (words["number"], issued.number),
            (words["issue_date"], day_name(issued.issue_date, language)),
            *figures,
        ],
        link=f"{public_url}/invoices?account={quote(issued.account_id)}&invoice={issued.number}",
        link_text=words["mail_link"],
        foot=foot,
    )


def _unmailed(store: Store, since: datetime) -> list[Issued]:
    """Documents that were rendered and have no mail, in the order of issue."""
    drawn = sa.exists().where(invoice_document.c.invoice_id == invoice.c.invoice_id)
    mailed = sa.exists().where(
        outbox_message.c.reference == sa.literal(MAILS).concat(invoice.c.number)
    )
    with store.reading() as connection:
        return read_issued(connection, drawn & ~mailed & (invoice.c.recorded_at >= since))


def _put(
    settings: Settings, store: Store, issued: Issued, copy: int, address: str, at: datetime
) -> bool:
    letter = letter_of(issued, settings.public_url)
    message = Message(
        mail_reference(issued.number, copy),
        issued.account_id,
        "mail",
        address,
        one_line(letter.title),
        as_text(letter),
        as_html(letter),
    )
    with store.writing() as connection:
        return put(connection, message, None, domain_of([settings.mail_from]), at)
