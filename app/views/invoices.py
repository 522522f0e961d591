"""Invoices: the issued documents of an account, what a line is made from, the month so far."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import streamlit as st

from app import address, context, formats
from app.deeds import EXPORT_LINE, EXPORT_STATEMENT, READ_INVOICE, SEND_INVOICE
from app.gate import Account, AccountReader, Gate
from app.invoices_address import (
    InvoicesView,
    invoices_link,
    parse_invoices,
    render_invoices,
    whole_list,
)
from app.markup import (
    Child,
    Choice,
    Column,
    Html,
    Row,
    badge,
    choices,
    empty,
    fields,
    figure,
    heading,
    join,
    link,
    named,
    notice,
    stat,
    table,
    tag,
    with_code,
)
from app.queries.invoices import (
    EVENTS_SHOWN,
    Documents,
    Draft,
    Entry,
    Statement,
    closes_at,
    corrected_by,
    corrects,
    documents_of,
    explained_csv,
    gather_drafts,
    line_name,
    setup_of,
    statement_csv,
    statements,
)
from app.views.parts import card, open_account, pager, row, status_line, watch, write
from billing.alerts.delivery import send_due
from billing.invoices.charges import Line, Totals
from billing.invoices.explain import Event, Explained
from billing.invoices.issued import Issued, document_of, file_name
from billing.invoices.mailing import MailState, resend
from billing.invoices.presentation import due_date, is_payable
from billing.invoices.texts import WORDS
from billing.store import Store
from warehouse.errors import MeterhouseError

STATUSES = {
    "credit note": ("credit note", "accent"),
    "paid": ("paid", "good"),
    "free": ("nothing due", "quiet"),
    "due": ("due", "warn"),
    "partly paid": ("partly paid", "warn"),
    "overdue": ("overdue", "bad"),
}
MAILS = {
    "waiting": "to be mailed",
    "sent": "mailed",
    "failed": "mail failed, tried again",
    "refused": "mail refused",
}
_MOVED = ("opening", "late", "granted", "invoiced", "used", "forfeited", "closing")
_LOTS_SHOWN = 50


def draw() -> None:
    """Draw the page for what its address asks for."""
    gate = context.open_gate()
    account = open_account(gate, "Invoices")
    if account is None:
        return
    reader = gate.enter(account.account_id)
    try:
        documents = reader.ask_store(documents_of)
    except MeterhouseError as error:
        address.write({"account": account.account_id})
        write(notice("warn", "Invoices cannot be shown", str(error)))
        watch(gate.publication)
        return
    view, remarks = parse_invoices(
        address.read(),
        {each.issue_date.year for each in documents.issued},
        {each.number: [line.number for line in each.lines] for each in documents.issued},
    )
    if remarks:
        write(notice("quiet", "Not all of this address could be used.", *remarks))
    address.write({"account": account.account_id, **render_invoices(view)})
    write(
        status_line(gate, account.time_zone, after=[tag("span", "documents and payments of now")])
    )
    document = next((each for each in documents.issued if each.number == view.number), None)
    if document is not None:
        _document(gate, reader, document, documents, view)
    else:
        _all(gate, reader, documents, view)
    watch(gate.publication)


def _all(gate: Gate, reader: AccountReader, documents: Documents, view: InvoicesView) -> None:
    """What is open, the month so far, the list, the statement of account."""
    today = _today(reader.account)
    as_of = context.freshness(gate).as_of if gate.publication else None
    drafts = gather_drafts(reader, documents.issued, formats.utc(as_of)) if as_of else []
    if not documents.issued:
        _nothing_yet(gate, reader, drafts)
        if drafts:
            _drafts(gate, drafts)
        return
    left, right = row("invoice-heads", 1, 2)
    with left:
        _open(documents, today)
    with right:
        _drafts(gate, drafts)
    _list(reader.account, documents, view, today)
    _statement(reader, documents, view)


def _nothing_yet(gate: Gate, reader: AccountReader, drafts: Sequence[Draft]) -> None:
    """When the first invoice comes, and what it needs."""
    account = reader.account.account_id
    setup = reader.ask_store(setup_of)
    needs = []
    if setup.issuer is None:
        needs.append("meterhouse invoices issuer --name … --country DE --tax-id …")
    if not setup.profiles:
        needs.append(f"meterhouse invoices recipient {account} --name … --street …")
    if not drafts:
        when: Child = "The first one follows the first month with usage or credits."
    else:
        first = drafts[-1].month
        from_ = formats.moment(
            closes_at(first, gate.settings.invoice_grace_days), reader.account.time_zone
        )
        when = f"The first one, of {formats.month(first.month)}, can be issued from {from_} on."
        needs.append(f"meterhouse invoices close {first.month:%Y-%m}")
    with card("no-invoices", fills=False):
        write(empty("No invoices yet", when, commands=needs))


def _open(documents: Documents, today: date) -> None:
    """What is to be paid, by currency."""
    with card("open"):
        stand = {each.number: documents.status(each, today) for each in documents.issued}
        waiting = [
            each
            for each in documents.issued
            if stand[each.number] in ("due", "partly paid", "overdue")
        ]
        for statement in statements(documents, None):
            due = [each for each in waiting if each.currency == statement.currency]
            overdue = sum(stand[each.number] == "overdue" for each in due)
            told: Child = "nothing is due"
            if due:
                first = min(due_date(each.content) for each in due)
                told = f"{formats.plural(len(due), 'invoice')}, the first payable until " + (
                    formats.day(first)
                )
            owed = statement.closing_minor
            write(
                stat(
                    "In your favour" if owed < 0 else "Open",
                    formats.money(abs(owed), statement.currency),
                    told,
                    tag("div", badge(f"{overdue} overdue", "bad")) if overdue else None,
                    help="All invoices and credit notes less what was paid",
                    is_big=True,
                )
            )


def _drafts(gate: Gate, drafts: Sequence[Draft]) -> None:
    """Months that were not issued yet, as known now."""
    with card("draft"):
        if not drafts:
            write(
                heading("So far"),
                tag(
                    "p",
                    "The month so far shows here once a refresh has published it.",
                    class_="mh-soft",
                ),
            )
        for draft in drafts:
            write(_draft(gate, draft))


def _draft(gate: Gate, draft: Draft) -> Html:
    totals, currency = draft.totals, draft.currency
    from_ = closes_at(draft.month, gate.settings.invoice_grace_days)
    label = f"{formats.month(draft.month.month)} {'so far' if draft.is_running else 'to be issued'}"
    known = (
        f"Tax {formats.money(totals.tax_minor, currency)}, "
        f"due {formats.money(totals.due_minor, currency)}."
        if draft.is_taxed
        else "Without tax: nobody knows its address yet."
    )
    late = (
        f" {formats.plural(draft.month.unrated_events, 'operation')} without a price not counted."
        if draft.month.unrated_events
        else ""
    )
    return join(
        [
            heading(label, badge("Draft", "warn", "Settled usage so far; it can still change")),
            table(
                [Column("Line"), Column("Credits", True), Column("Net", True)],
                [
                    *(
                        [
                            tag("span", line_name(line)),
                            formats.credits(line.credits) if line.credits else "",
                            formats.money(line.net_minor, currency),
                        ]
                        for line in draft.lines
                    ),
                    Row(
                        [
                            tag("b", "Net total"),
                            "",
                            tag("b", formats.money(totals.net_minor, currency)),
                        ]
                    ),
                ],
            ),
            tag(
                "p",
                f"{known} As known now; it can be issued from {formats.moment(from_)} on.{late}",
                class_="mh-soft mh-small",
            ),
        ]
    )


def _list(account: Account, documents: Documents, view: InvoicesView, today: date) -> None:
    """The documents of a year or of all years, the newest first."""
    issued = documents.issued
    years = sorted({document.issue_date.year for document in issued}, reverse=True)
    found = [each for each in issued if view.year in (None, each.issue_date.year)][::-1]
    with card("invoices", fills=False):
        write(
            heading(
                "Invoices and credit notes",
                choices(
                    "Year",
                    [
                        Choice(
                            str(year) if year else "All",
                            invoices_link(account.account_id, replace(view, year=year)),
                            year == view.year,
                        )
                        for year in (None, *years)
                    ],
                ),
            ),
            table(
                [
                    Column("Number"),
                    Column("Issued", is_wide_only=True),
                    Column("Net", True, is_wide_only=True),
                    Column("Tax", True, is_wide_only=True),
                    Column("Total", True),
                    Column("Paid", True, is_wide_only=True),
                    Column("Due", True, is_wide_only=True),
                    Column("Status"),
                ],
                [_listed(account, document, documents, view, today) for document in found],
            ),
        )


def _listed(
    account: Account, document: Issued, documents: Documents, view: InvoicesView, today: date
) -> list[Child]:
    item = documents.items[document.number]
    totals, currency = document.totals, document.currency

    def money(minor: int) -> str:
        return formats.money(minor, currency)

    return [
        named(
            document.number,
            formats.month(document.month),
            href=invoices_link(account.account_id, replace(view, number=document.number)),
        ),
        formats.day(document.issue_date),
        money(totals.net_minor),
        money(totals.tax_minor),
        money(totals.gross_minor + totals.rounding_minor),
        money(totals.paid_minor + item.settled_minor),
        money(item.open_minor),
        join(
            [
                _status(document, documents, today),
                _mailed(documents.mails.get(document.number)),
            ]
        ),
    ]


def _mailed(mail: MailState | None) -> Html | None:
    """What became of a document's mail, in small print; nothing where none was written."""
    if mail is None:
        return None
    told = MAILS[mail.state]
    if mail.state in ("failed", "refused"):
        return tag("div", badge(told, "bad", mail.detail or None))
    return tag("div", told, class_="mh-detail", title=f"to {mail.recipient}")


def _status(document: Issued, documents: Documents, today: date) -> Html:
    status = documents.status(document, today)
    until = f"Payable until {formats.day(due_date(document.content))}"
    return badge(*STATUSES[status], until if is_payable(document.content) else None)


def _statement(reader: AccountReader, documents: Documents, view: InvoicesView) -> None:
    """What was asked for and paid, with a running total."""
    account = reader.account
    found = statements(documents, view.year)
    with card("statement", fills=False):
        span = str(view.year) if view.year else "from the first document on"
        write(heading("Statement of account", span))
        for statement in found:
            write(
                table(
                    [
                        Column("Document or payment"),
                        Column("Amount", True),
                        Column("Open", True),
                    ],
                    [
                        _balance("Opening balance", statement.opening_minor, statement.currency),
                        *(_entry(account, entry, view) for entry in statement.entries),
                        _balance("Open", statement.closing_minor, statement.currency),
                    ],
                )
            )
        st.download_button(
            "Export as CSV",
            data=lambda: _statement_file(reader, found, span),
            file_name=f"statement-{account.account_id}.csv".replace("/", "-"),
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            key="statement-csv",
        )


def _statement_file(reader: AccountReader, found: Sequence[Statement], span: str) -> str:
    reader.allow(EXPORT_STATEMENT, span=span)
    return statement_csv(found)


def _balance(name: str, minor: int, currency: str) -> list[Child]:
    return [tag("b", name), "", tag("b", formats.money(minor, currency))]


def _entry(account: Account, entry: Entry, view: InvoicesView) -> list[Child]:
    about = {
        "invoice": f"Invoice of {formats.month(entry.month)}",
        "credit note": f"Credit note, {formats.month(entry.month)}",
        "checkout": "Paid at the checkout" if entry.amount_minor < 0 else "Paid back",
        "payment": f"{'Paid' if entry.amount_minor < 0 else 'Paid back'}, {entry.reference}",
    }[entry.kind]
    there = invoices_link(account.account_id, replace(view, number=entry.number))
    sign = "+" if entry.amount_minor > 0 else ""
    return [
        named(about, f"{formats.day(entry.day)} · {entry.number}", href=there),
        f"{sign}{formats.money(entry.amount_minor, entry.currency)}",
        formats.money(entry.open_minor, entry.currency),
    ]


def _document(
    gate: Gate,
    reader: AccountReader,
    document: Issued,
    documents: Documents,
    view: InvoicesView,
) -> None:
    """One document: its facts, its lines, the statement of credits, what a line is made from."""
    account = reader.account
    write(
        tag(
            "div",
            link(invoices_link(account.account_id, whole_list(view)), "‹ All invoices"),
            class_="mh-back",
        )
    )
    with card("invoice", fills=False):
        with st.container(horizontal=True, vertical_alignment="center"):
            kind = "Invoice" if document.series == "invoice" else "Credit note"
            write(
                heading(f"{kind} {document.number}", _status(document, documents, _today(account))),
            )
            _download(reader, document)
        left, right = row("invoice-facts", 1, 1)
        with left:
            write(fields(_facts(account, document, documents.issued, view)))
        with right:
            write(_totals(document, documents))
        write(_lines(account, document, view))
    _mail(gate, reader, document, documents.mails.get(document.number))
    if view.line is not None:
        _explained(gate, reader, document, view)
    content = document.content
    if content.get("statement") or content.get("usage"):
        left, right = row("invoice-parts", 1, 1.6)
        with left, card("invoice-credits"):
            write(heading("Statement of credits", formats.month(document.month)))
            write(_credits(document))
        with right, card("invoice-usage"):
            write(heading("Usage by category and model", "as invoiced"))
            write(_usage(document))


def _download(reader: AccountReader, document: Issued) -> None:
    if not reader.may(READ_INVOICE):
        return

    def pdf() -> bytes:
        return reader.ask_store(lambda store, _: document_of(store, document.number))

    def taken() -> bytes:
        reader.allow(READ_INVOICE, number=document.number)
        return pdf()

    try:
        pdf()
    except MeterhouseError:
        write(
            notice(
                "quiet",
                "Its PDF is not rendered yet.",
                with_code("The next close makes it, or `meterhouse invoices render`."),
            )
        )
        return
    st.download_button(
        "Download PDF",
        data=taken,  # made when it is asked for, so that none is there which the log does not know
        file_name=file_name(document.number),
        mime="application/pdf",
        on_click="ignore",
        icon=":material/download:",
        key="invoice-pdf",
        type="primary",
    )


def _mail(gate: Gate, reader: AccountReader, document: Issued, mail: MailState | None) -> None:
    """What became of its mail, and one more by hand."""
    with card("invoice-mail", fills=False):
        with st.container(horizontal=True, vertical_alignment="center"):
            if mail is None:
                write(heading("Mail"), tag("p", "It was not mailed.", class_="mh-soft mh-small"))
            else:
                when = formats.moment(mail.at, reader.account.time_zone)
                said = f" The server said: {formats.clip(mail.detail, 300)}" if mail.detail else ""
                about = f"To {mail.recipient}, {when}.{said if mail.state != 'sent' else ''}"
                kind = "bad" if mail.state in ("failed", "refused") else "quiet"
                write(
                    heading("Mail", badge(MAILS[mail.state], kind)),
                    tag("p", about, class_="mh-soft mh-small"),
                )
            again = reader.may(SEND_INVOICE) and st.button(
                "Send again" if mail else "Send by mail",
                key=f"invoice-resend-{document.number}",
                icon=":material/forward_to_inbox:",
            )
        if again:

            def send(store: Store, account: str) -> None:
                resend(gate.settings, store, document.number, account_id=account)
                send_due(gate.settings, store)

            try:
                reader.do(SEND_INVOICE, send, number=document.number)
                st.rerun()
            except MeterhouseError as error:
                write(notice("warn", "No mail was sent", with_code(str(error))))


def _facts(
    account: Account, document: Issued, issued: Sequence[Issued], view: InvoicesView
) -> list[tuple[str, Child]]:
    content = document.content
    to = content["recipient"]
    place = f"{to['street']}, {to['postcode']} {to['city']}, {to['country']}"
    facts: list[tuple[str, Child]] = [
        ("Issued", formats.day(document.issue_date)),
        ("Month", formats.month(document.month)),
        ("To", join([tag("div", to["name"]), tag("div", place, class_="mh-detail")])),
    ]
    if is_payable(content):
        facts.append(("Payable until", formats.day(due_date(content))))
    for name, field in (("Tax id", "tax_id"), ("Reference", "buyer_reference")):
        if to[field]:
            facts.append((name, to[field]))
    if content.get("reason"):
        facts.append(("Reason", content["reason"]))
    for name, others in (
        ("Corrects", corrects(document, issued)),
        ("Corrected by", corrected_by(document, issued)),
    ):
        if others:
            facts.append((name, _numbers(account, others, view)))
    return facts


def _numbers(account: Account, documents: Sequence[Issued], view: InvoicesView) -> Html:
    parts: list[Child] = []
    for document in documents:
        there = replace(view, number=document.number, line=None, page=1)
        parts += [", "] if parts else []
        parts.append(link(invoices_link(account.account_id, there), document.number))
    return join(parts)


def _totals(document: Issued, documents: Documents) -> Html:
    """What the document adds up to, and what was paid of it since."""
    totals, currency = document.totals, document.currency
    rows: list[tuple[str, Child]] = [("Net total", formats.money(totals.net_minor, currency))]
    rows += [(_tax_name(document, at), _tax_amount(totals, at, currency)) for at in _taxes(totals)]
    rows.append(("Total", formats.money(totals.gross_minor, currency)))
    if totals.rounding_minor:
        rows.append(("Rounding", formats.money(totals.rounding_minor, currency)))
    if totals.paid_minor:
        rows.append(("Already paid", formats.money(-totals.paid_minor, currency)))
    rows.append(("Due", tag("b", formats.money(totals.due_minor, currency))))
    payments = documents.payments_of(document)
    for payment in payments:
        about = f"Paid {formats.day(payment.paid_on)}, {payment.reference}"
        rows.append((about, formats.money(-payment.amount_minor, currency)))
    if payments:
        open_minor = documents.items[document.number].open_minor
        rows.append(("Open", tag("b", formats.money(open_minor, currency))))
    return tag("div", fields(rows), class_="mh-sums")


def _taxes(totals: Totals) -> range:
    return range(len(totals.taxes))


def _tax_name(document: Issued, at: int) -> str:
    part = document.totals.taxes[at]
    category = part.tax.category
    words = WORDS["en"]["tax" if category == "S" else f"tax_{category}"]
    return words.format(
        percent=formats.exact(part.tax.percent),
        net=formats.money(part.net_minor, document.currency),
    )


def _tax_amount(totals: Totals, at: int, currency: str) -> str:
    return formats.money(totals.taxes[at].tax_minor, currency)


def _lines(account: Account, document: Issued, view: InvoicesView) -> Html:
    return table(
        [
            Column("No.", is_wide_only=True),
            Column("Line"),
            Column("Credits", True),
            Column("Price", True, is_wide_only=True),
            Column("Tax", True, is_wide_only=True),
            Column("Net", True),
        ],
        [_line(account, document, line, view) for line in document.lines],
    )


def _line(account: Account, document: Issued, line: Line, view: InvoicesView) -> Row:
    is_open = view.line == line.number
    there = replace(view, number=document.number, line=None if is_open else line.number, page=1)
    told = "hide what it is made from" if is_open else "explain"
    return Row(
        [
            str(line.number),
            named(line_name(line), told, href=invoices_link(account.account_id, there)),
            formats.exact(line.credits) if line.credits else "",
            f"{document.currency} {formats.exact(line.unit_price)}" if line.unit_price else "",
            f"{formats.exact(line.tax.percent)} %",
            formats.money(line.net_minor, document.currency),
        ],
        "mh-row-chosen" if is_open else None,
    )


def _credits(document: Issued) -> Html:
    statement = document.content.get("statement")
    if not statement:
        return tag("p", "This document states no credits.", class_="mh-soft")
    rows: list[tuple[str, Child]] = []
    for name in _MOVED:
        credits = Decimal(statement[name])
        if credits or name in ("opening", "used", "closing"):
            signed = -credits if name in ("used", "forfeited") else credits
            text = formats.exact(signed)
            rows.append((WORDS["en"][name], tag("b", text) if name == "closing" else text))
    return tag("div", fields(rows), class_="mh-sums")


def _usage(document: Issued) -> Html:
    usage = document.content.get("usage") or []
    if not usage:
        return tag("p", "There was no usage.", class_="mh-soft")
    priced = any(each["net_minor"] is not None for each in usage)
    columns = [
        Column("Category and model"),
        Column("Operations", True, is_wide_only=True),
        Column("Tokens", True, is_wide_only=True),
        Column("Credits", True),
    ]
    rows: list[list[Child]] = []
    for each in usage:
        cells: list[Child] = [
            named(each["model"], each["category"]),
            formats.number(each["events"]),
            formats.compact(each["tokens"]),
            formats.credits(Decimal(each["credits"])),
        ]
        if priced:
            cells.append(formats.money(each["net_minor"] or 0, document.currency))
        rows.append(cells)
    return table([*columns, Column("Net", True)] if priced else columns, rows)


def _explained(gate: Gate, reader: AccountReader, document: Issued, view: InvoicesView) -> None:
    """The operations or lots that a line is made from, as they were known when it was issued."""
    assert view.line is not None
    with card("explained", fills=False):
        line = document.lines[view.line - 1]
        try:
            found = context.explained(gate, reader.account.account_id, document.number, view.line)
        except MeterhouseError as error:
            write(heading(f"Line {line.number}"), notice("warn", "Not explained", str(error)))
            return
        write(
            heading(f"Line {line.number}", f"as known up to load {document.raw_load_id}"),
            tag("p", tag("b", line_name(line)), class_="mh-small"),
        )
        if found.events:
            _events(reader.account, found, view)
        elif found.lots:
            _lots(reader.account, found)
        else:
            write(tag("p", _nothing_behind(found), class_="mh-soft"))
            return
        st.download_button(
            "Export as CSV",
            data=lambda: _explained_file(reader, found),
            file_name=f"{file_name(document.number).removesuffix('.pdf')}-line-{line.number}.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            key="explained-csv",
        )


def _explained_file(reader: AccountReader, found: Explained) -> str:
    reader.allow(EXPORT_LINE, number=found.issued.number, line=found.line.number)
    return explained_csv(found)


def _nothing_behind(found: Explained) -> str:
    if found.line.kind == "goodwill":
        return f"Given by hand: {found.issued.content.get('reason') or 'no reason was given'}."
    return "No operation is behind it."


def _events(account: Account, found: Explained, view: InvoicesView) -> None:
    total = len(found.events)
    pages = -(-total // EVENTS_SHOWN)
    page = min(view.page, pages)
    first = (page - 1) * EVENTS_SHOWN
    shown = found.events[first : first + EVENTS_SHOWN]
    sums = (
        f"{formats.plural(total, 'operation')}, {formats.exact(found.events_credits)} credits: "
        f"{formats.exact(found.lots_credits)} of them paid by lots, "
        f"{formats.exact(found.line.credits)} charged."
    )
    write(
        tag("p", sums, class_="mh-soft mh-small"),
        table(
            [
                Column("Time"),
                Column("Operation"),
                Column("From", is_wide_only=True),
                Column("Credits", True),
            ],
            [_event(account, event) for event in shown],
        ),
        pager(
            page,
            pages,
            lambda number: invoices_link(account.account_id, replace(view, page=number)),
        ),
    )


def _event(account: Account, event: Event) -> list[Child]:
    local = event.occurred_at.astimezone(ZoneInfo(account.time_zone))
    file = event.path.rsplit("/", 1)[-1] or event.source
    return [
        figure(formats.day(local.date()), f"{local:%H:%M:%S} {local.tzname()}"),
        named(
            formats.clip(event.event_id, 60),
            " · ".join(part for part in (event.category, event.model) if part),
            event.event_id,
        ),
        named(formats.clip(file, 60), f"line {event.line_number}", event.path),
        "unknown" if event.credits is None else formats.exact(event.credits),
    ]


def _lots(account: Account, found: Explained) -> None:
    rows: list[list[Child]] = []
    for lot in found.lots[:_LOTS_SHOWN]:
        since = lot.effective_at.astimezone(ZoneInfo(account.time_zone)).date()
        rows.append(
            [
                named(formats.clip(lot.reason, 80), f"lot {lot.grant_id}", lot.reason),
                formats.day(since),
                formats.exact(lot.credits),
                formats.money(lot.paid_minor, found.issued.currency),
            ]
        )
    more = len(found.lots) - _LOTS_SHOWN
    write(
        table(
            [Column("Lot"), Column("From"), Column("Credits", True), Column("Paid", True)],
            rows,
        ),
        tag("p", f"{formats.plural(more, 'more lot')} in the export.", class_="mh-soft")
        if more > 0
        else None,
    )


def _today(account: Account) -> date:
    return datetime.now(ZoneInfo(account.time_zone)).date()


if __name__ == "__main__":
    draw()
