"""``meterhouse invoices``: closing months, issued invoices, credit notes, who issues them."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from billing import validation
from billing.invoices.charges import totals_of
from billing.invoices.closing import Closed, Prepared, close
from billing.invoices.explain import Explained, explain
from billing.invoices.guards import Hold
from billing.invoices.issued import Issued, as_json, document_of, get_issued, list_issued
from billing.invoices.mailing import Finished, MailState, finish, mail_states, nobody, resend
from billing.invoices.notes import credit_note
from billing.invoices.parties import (
    LANGUAGES,
    TREATMENTS,
    add_tax_rate,
    find_issuer,
    set_issuer,
    set_profile,
)
from billing.invoices.payments import Payment, open_items, record_payment
from billing.invoices.presentation import line_text, view_of
from billing.money import shown, to_minor
from billing.store import Store, open_store
from orchestration.commands.audited import logged, owner
from orchestration.commands.tables import UNBOUNDED, print_table
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings


@click.group()
def invoices() -> None:
    """Close months; show, explain and credit invoices; say who issues them."""


@invoices.command("close")
@click.argument("month")
@click.option("--account", help="Only this account; all by default.")
@click.option("--dry-run", is_flag=True, help="Show what would be issued, and issue nothing.")
@click.option(
    "--accept", multiple=True, help="An account whose total is right though far from earlier ones."
)
@click.option("--json", "as_json_", is_flag=True, help="Print a JSON object.")
def close_(
    month: str, account: str | None, dry_run: bool, accept: tuple[str, ...], as_json_: bool
) -> None:
    """Issue the invoices of a month, such as 2026-10, each once.

    Accounts that a guard holds are named with what to do; the exit status is then 1.
    """
    settings = load_settings()
    with open_store(settings) as store:
        with nullcontext() if dry_run else logged(store, "invoice.close", account):
            closed = close(
                settings,
                store,
                validation.parse_month(month),
                account_id=account,
                dry_run=dry_run,
                accept=accept,
            )
        finished = None if dry_run else finish(settings, store)
    if as_json_:
        click.echo(json.dumps(closed_json(closed, finished), indent=2))
    else:
        _print_closed(closed, dry_run)
    if finished is not None:
        _print_finished(finished)
    if closed.held:
        raise SystemExit(1)


@invoices.command("render")
def render_() -> None:
    """Render and mail what is missing, after a close was interrupted or a mail server was down."""
    settings = load_settings()
    with open_store(settings) as store:
        _print_finished(finish(settings, store))


@invoices.command("list")
@click.option("--account", help="Only this account's.")
@click.option("--year", type=int, help="Only those issued in this year.")
@click.option("--month", help="Only those of this month, such as 2026-10.")
@click.option("--json", "as_json_", is_flag=True, help="Print a JSON array.")
def list_(account: str | None, year: int | None, month: str | None, as_json_: bool) -> None:
    """List issued invoices and credit notes in the order of issue."""
    day = validation.parse_month(month) if month else None
    with open_store(load_settings()) as store:
        found = list_issued(store, account_id=account, year=year, month=day)
        mails = mail_states(store, account)
    if as_json_:
        click.echo(
            json.dumps(
                [issued_json(issued, mails.get(issued.number)) for issued in found], indent=2
            )
        )
    elif not found:
        click.echo("nothing was issued yet; `meterhouse invoices close MONTH` does", err=True)
    else:
        print_table(issued_table(found, mails))


@invoices.command("show")
@click.argument("number")
@click.option("--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Write its document.")
@click.option("--json", "as_json_", is_flag=True, help="Print its whole content as JSON.")
def show(number: str, pdf: Path | None, as_json_: bool) -> None:
    """Show an invoice or credit note as it was issued."""
    with open_store(load_settings()) as store:
        issued = get_issued(store, number)
        if pdf is not None:
            _write(pdf, document_of(store, number))
    if as_json_:
        click.echo(json.dumps(issued.content, indent=2, ensure_ascii=False))
        return
    view = view_of(issued.content)
    console = Console(width=UNBOUNDED, markup=False, emoji=False)
    console.print(f"{view['title']} {issued.number}")
    for name, value in view["facts"][1:]:
        console.print(f"{name}: {value}")
    console.print(_table(view["heads"], view["lines"], left=2))
    for name, amount, _ in view["totals"]:
        console.print(f"{name}: {amount}")
    for note in view["notes"]:
        console.print(note)


@invoices.command("send")
@click.argument("number")
@click.option("--to", help="Another address than the account's.")
def send(number: str, to: str | None) -> None:
    """Mail an invoice or credit note once more, whatever became of earlier mails."""
    settings = load_settings()
    with open_store(settings) as store:
        with _logged(store, "invoice.send", number):
            address = resend(settings, store, number, to)
        finish(settings, store)
        state = mail_states(store)[number.strip()]
    click.echo(f"{number} to {address}: {mail_text(state)}", err=True)


@invoices.command("explain")
@click.argument("number")
@click.argument("line", type=int)
@click.option("--json", "as_json_", is_flag=True, help="Print a JSON object.")
def explain_(number: str, line: int, as_json_: bool) -> None:
    """Show what a line is made from: raw events with file and line, or the lots paid for."""
    settings = load_settings()
    with open_store(settings) as store:
        found = explain(settings, store, number, line)
    if as_json_:
        click.echo(json.dumps(explained_json(found), indent=2))
        return
    console = Console(width=UNBOUNDED, markup=False, emoji=False)
    console.print(line_text(found.issued.content, as_json(found.line)))
    if found.events:
        heads = ["time (UTC)", "event", "category", "model", "file", "line", "credits"]
        rows = [
            [
                f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
                event.event_id,
                event.category,
                event.model or "",
                event.path,
                str(event.line_number),
                "?" if event.credits is None else f"{event.credits.normalize():f}",
            ]
            for event in found.events
        ]
        console.print(_table(heads, rows, left=5))
        console.print(
            f"{found.events_credits.normalize():f} credits in all, "
            f"{found.lots_credits.normalize():f} of them paid by lots, "
            f"{found.line.credits.normalize():f} charged"
        )
    for lot in found.lots:
        console.print(
            f"lot {lot.grant_id}: {lot.credits.normalize():f} credits from "
            f"{lot.effective_at:%Y-%m-%d}, {shown(lot.paid_minor or 0, found.issued.currency)} "
            f"({lot.reason})"
        )


@invoices.command("credit-note")
@click.argument("number")
@click.option("--net", help="Amount without tax, such as 25.00; all that is left by default.")
@click.option("--reason", required=True, help="Why; it stands on the note.")
@click.option("--json", "as_json_", is_flag=True, help="Print the note as a JSON object.")
def credit_note_(number: str, net: str | None, reason: str, as_json_: bool) -> None:
    """Give a part of an invoice back by a credit note with a number of its own."""
    settings = load_settings()
    with open_store(settings) as store:
        with _logged(store, "invoice.credit_note", number):
            currency = get_issued(store, number).currency
            minor = to_minor(net, currency) if net is not None else None
            issued = credit_note(settings, store, number, minor, reason=reason)
        finished = finish(settings, store)
    if as_json_:
        click.echo(json.dumps(issued_json(issued), indent=2))
    else:
        click.echo(
            f"issued {issued.number}: {shown(-issued.totals.gross_minor, issued.currency)} "
            f"of {number} are credited",
            err=True,
        )
    _print_finished(finished)


@invoices.command("paid")
@click.argument("number")
@click.option("--amount", required=True, help="What came, such as 25.00; or 25.00 EUR.")
@click.option(
    "--on",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Day of the bank's statement, such as 2026-11-05.",
)
@click.option("--reference", required=True, help="The bank's; the same again is no second payment.")
@click.option("--reason", default="", help="A remark.")
@click.option("--json", "as_json_", is_flag=True, help="Print the payment as a JSON object.")
def paid(
    number: str, amount: str, day: datetime, reference: str, reason: str, as_json_: bool
) -> None:
    """Record a payment of what an invoice has due, or paid out on a credit note."""
    with open_store(load_settings()) as store, _logged(store, "invoice.paid", number):
        own = get_issued(store, number).currency
        text, _, said = amount.strip().partition(" ")
        currency = said.strip().upper() or own
        if currency != own:
            raise MeterhouseError(
                f"{number} is in {own}, not in {currency}; give what came in {own}"
            )
        payment, is_new = record_payment(
            store,
            number,
            to_minor(text, currency),
            currency=currency,
            paid_on=day.date(),
            reference=reference,
            reason=reason,
        )
        left = open_items(store)[payment.number]
    if as_json_:
        click.echo(json.dumps({**payment_json(payment), "is_new": is_new}, indent=2))
        return
    click.echo(
        f"{'recorded' if is_new else 'known already'}: "
        f"{shown(payment.amount_minor, payment.currency)} for {payment.number}; "
        f"{shown(left.open_minor, left.currency)} are open",
        err=True,
    )


@invoices.command("issuer")
@click.option("--name")
@click.option("--street")
@click.option("--postcode")
@click.option("--city")
@click.option("--country", help="Two letters, such as DE; its tax rate is the standard one.")
@click.option("--tax-id", help="With its country, such as DE123456789.")
@click.option("--email")
@click.option("--time-zone", help="Whose calendar dates the invoices; UTC at first.")
@click.option("--register", help="Entry in the commercial register.")
@click.option("--iban")
@click.option("--payment-days", type=int, help="Days after issue until which to pay.")
@click.option("--accent", help="Colour of titles, such as #1f4e8c.")
@click.option("--footer", help="A line at the foot of each page.")
@click.option("--logo", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="SVG.")
@click.option("--invoice-prefix", help="What numbers of invoices begin with; INV at first.")
@click.option("--note-prefix", help="What numbers of credit notes begin with; CN at first.")
def issuer_(logo: Path | None, **fields: Any) -> None:
    """Set up who issues invoices, or change it; without options it is shown."""
    changes = {name: value for name, value in fields.items() if value is not None}
    if logo is not None:
        changes["logo"] = logo.read_text(encoding="utf-8")
    with open_store(load_settings()) as store:
        known = None if changes else find_issuer(store)
        with logged(store, "issuer.change") if changes else nullcontext():
            made = known or set_issuer(store, changes)
    _print_fields({**asdict(made), "logo": f"{len(made.logo)} characters" if made.logo else ""})


@invoices.command("recipient")
@click.argument("account_id")
@click.option("--from", "month", help="Month from which it holds; from the beginning by default.")
@click.option("--name", help="The customer's legal name.")
@click.option("--street")
@click.option("--postcode")
@click.option("--city")
@click.option("--country", help="Two letters, such as DE.")
@click.option("--tax-id", help="With its country, such as DE123456789.")
@click.option("--tax-treatment", help=f"One of {', '.join(TREATMENTS)}.")
@click.option("--language", help=f"One of {', '.join(LANGUAGES)}.")
@click.option("--buyer-reference", help="What the customer wants to read on its invoices.")
def recipient(account_id: str, month: str | None, **fields: str | None) -> None:
    """Say whom an account's invoices name, where it lives and how it is taxed."""
    changes = {name: value for name, value in fields.items() if value is not None}
    start = validation.parse_month(month) if month else validation.BEGINNING
    with open_store(load_settings()) as store, logged(store, "recipient.change", account_id):
        made = set_profile(store, account_id, changes, effective_from=start)
    _print_fields(asdict(made))


@invoices.command("tax-rate")
@click.argument("country")
@click.argument("percent")
@click.option("--from", "month", help="Month from which it holds; from the beginning by default.")
def tax_rate(country: str, percent: str, month: str | None) -> None:
    """Record a country's standard rate of tax, such as DE 19."""
    start = validation.parse_month(month) if month else validation.BEGINNING
    with open_store(load_settings()) as store, logged(store, "tax_rate.add"):
        made = add_tax_rate(store, country, percent, start)
    click.echo(
        f"{made.country}: {made.percent.normalize():f} % from {made.effective_from}", err=True
    )


def _logged(store: Store, action: str, number: str) -> AbstractContextManager[None]:
    return logged(store, action, owner(lambda: get_issued(store, number).account_id))


def closed_json(closed: Closed, finished: Finished | None) -> dict[str, Any]:
    """What a close did as JSON, ``finished`` is None for a dry run; amounts are minor units."""
    return {
        "month": closed.month.isoformat(),
        "is_dry_run": finished is None,
        "issued": [issued_json(issued) for issued in closed.issued],
        "drafts": [draft_json(draft) for draft in closed.drafts] if finished is None else [],
        "held": [asdict(hold) for hold in closed.held],
        "already_closed": list(closed.already),
        "mails": None if finished is None else finished_json(finished),
    }


def finished_json(finished: Finished) -> dict[str, Any]:
    """What was rendered and mailed, as JSON."""
    return {
        "rendered": finished.rendered,
        "written": finished.written,
        **asdict(finished.delivered),
        "unaddressed": [issued.number for issued in finished.unaddressed],
    }


def issued_json(issued: Issued, mail: MailState | None = None) -> dict[str, Any]:
    """An issued invoice as JSON without its lines; amounts are minor units."""
    totals = as_json(issued.totals)
    return {
        "number": issued.number,
        "series": issued.series,
        "account_id": issued.account_id,
        "month": issued.month.isoformat(),
        "issue_date": issued.issue_date.isoformat(),
        "currency": issued.currency,
        "corrects": issued.corrects,
        **{name: totals[name] for name in totals if name != "taxes"},
        "content_hash": issued.content_hash,
        "mail": None if mail is None else {**asdict(mail), "at": mail.at.isoformat()},
    }


def payment_json(payment: Payment) -> dict[str, Any]:
    """A payment as JSON; the amount is minor units."""
    return {
        "number": payment.number,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "paid_on": payment.paid_on.isoformat(),
        "reference": payment.reference,
        "reason": payment.reason,
    }


def draft_json(draft: Prepared) -> dict[str, Any]:
    """What would be issued for an account, as JSON."""
    return {
        "account_id": draft.account_id,
        "documents": [
            {
                "series": document.series,
                "currency": document.currency,
                "lines": as_json(document.lines),
                "totals": as_json(totals_of(document.lines)),
            }
            for document in draft.documents
        ],
    }


def explained_json(found: Explained) -> dict[str, Any]:
    """What a line is made from, as JSON; credits are texts, times are UTC."""
    return {
        "number": found.issued.number,
        "line": as_json(found.line),
        "events": [
            {**as_json(event), "occurred_at": event.occurred_at.isoformat()}
            for event in found.events
        ],
        "events_credits": as_json(found.events_credits),
        "lots_credits": as_json(found.lots_credits),
        "lots": [
            {
                "lot_id": lot.grant_id,
                "credits": as_json(lot.credits),
                "paid_minor": lot.paid_minor,
                "effective_at": lot.effective_at.isoformat(),
                "reason": lot.reason,
            }
            for lot in found.lots
        ],
    }


def issued_table(found: Sequence[Issued], mails: Mapping[str, MailState]) -> Table:
    """Issued invoices as a table."""
    return _table(
        ["number", "issued", "account", "month", "mail", "net", "tax", "due"],
        [
            [
                issued.number,
                issued.issue_date.isoformat(),
                issued.account_id,
                f"{issued.month:%Y-%m}",
                mails[issued.number].state if issued.number in mails else "",
                shown(issued.totals.net_minor, issued.currency),
                shown(issued.totals.tax_minor, issued.currency),
                shown(issued.totals.due_minor, issued.currency),
            ]
            for issued in found
        ],
        left=5,
    )


def mail_text(state: MailState) -> str:
    """What became of a mail, in words."""
    words = {"waiting": "waits to be sent", "failed": "could not be sent and is tried again"}
    text = words.get(state.state, state.state)
    return f"{text} ({state.detail})" if state.detail else text


def _print_closed(closed: Closed, dry_run: bool) -> None:
    console = Console(width=UNBOUNDED, markup=False, emoji=False)
    if dry_run and closed.drafts:
        rows = [
            [
                draft.account_id,
                document.series.replace("_", " "),
                str(len(document.lines)),
                shown(totals_of(document.lines).net_minor, document.currency),
                shown(totals_of(document.lines).due_minor, document.currency),
            ]
            for draft in closed.drafts
            for document in draft.documents
        ]
        console.print(_table(["account", "document", "lines", "net", "due"], rows, left=2))
    if closed.issued:
        console.print(issued_table(closed.issued, {}))
    for hold in closed.held:
        click.echo(_held(hold), err=True)
    would = "would be issued" if dry_run else "issued"
    count = sum(len(draft.documents) for draft in closed.drafts) if dry_run else len(closed.issued)
    click.echo(
        f"{closed.month:%Y-%m}: {_counted(count, 'document')} {would}, "
        f"{_counted(len(closed.already), 'account')} closed before, "
        f"{len({hold.account_id for hold in closed.held})} held",
        err=True,
    )


def _print_finished(finished: Finished) -> None:
    for issued in finished.unaddressed:
        click.echo(nobody(issued), err=True)
    done = finished.delivered
    click.echo(
        f"rendered {_counted(finished.rendered, 'document')}, wrote "
        f"{_counted(finished.written, 'mail')}; sent {done.sent}, failed {done.failed}, "
        f"refused {done.given_up}",
        err=True,
    )


def _held(hold: Hold) -> str:
    return f"{hold.account_id} is held ({hold.guard}): {hold.reason}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> Table:
    table = Table(header_style="bold")
    for at, head in enumerate(heads):
        table.add_column(head, justify="left" if at < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _print_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if value not in ("", None):
            click.echo(f"{name}: {value}")


def _write(path: Path, pdf: bytes) -> None:
    try:
        path.write_bytes(pdf)
    except OSError as error:
        raise MeterhouseError(f"{path} cannot be written: {error.strerror}") from error


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
