"""Closing a month of 1,000 accounts, and its documents beside WeasyPrint's of the same content.

``python -m benchmarks.invoices`` (or ``make bench``). README.md says what is compared.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks.measuring import machine, report_console
from billing.accounts import add_account
from billing.invoices.cii import cii_of
from billing.invoices.closing import close
from billing.invoices.document import render
from billing.invoices.issued import list_issued
from billing.invoices.parties import add_tax_rate, set_issuer, set_profile
from billing.invoices.presentation import view_of
from billing.invoices.rendering import render_missing
from billing.store import Store, open_store
from ingest.tables import ensure_tables
from warehouse.lake import current_snapshot, reading_head, writing
from warehouse.publication import publish
from warehouse.settings import Settings, load_settings

AIM = 8.0
"""Documents a second of processor time, ours ÷ WeasyPrint's, at least."""

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MONTH = date(2026, 10, 1)
CHARGES = 2
"""Lines of an invoice that are charges: a purchase and overage. The others tell usage."""

_MARTS = """
create table marts.main.dim_load as
select 'file' as kind, timestamp '2026-11-24 00:00' as finished_at;
create table marts.main.fct_usage_monthly as
select printf('a%05d', n) as account_id, date '{month}' as month, 'agent-' || (m % 10) as agent_id,
    ['llm', 'sql', 'image', 'document'][m % 4 + 1] as category, 'model-' || m as model,
    cast(hash(n, m, 'events') % 100000 as bigint) as events,
    cast(hash(n, m, 'tokens') % 10000000 as bigint) as total_tokens,
    cast(hash(n, m, 'credits') % 1000000000 / 1e6 as decimal(38, 9)) as credits
from range({accounts}) as account (n), range({models}) as model (m);
create table marts.main.fct_invoice_month as
select account_id, month, 'prepaid_with_overage' as plan, 'EUR' as currency,
    timestamp '{month}' as starts_at, timestamp '2026-11-01' as ends_at,
    cast(0 as decimal(38, 9)) as opening_credits, cast(5000 as decimal(38, 9)) as granted_credits,
    cast(0 as decimal(38, 9)) as invoiced_credits, sum(credits) as used_credits,
    cast(0 as decimal(38, 9)) as forfeited_credits, 5000 - sum(credits) as closing_credits,
    cast(0 as decimal(38, 9)) as invoiced_credits_so_far, cast(0 as bigint) as unrated_events,
    cast(0 as decimal(38, 9)) as exposure_high_credits
from marts.main.fct_usage_monthly
group by all;
create table marts.main.fct_book_balance as
select account_id, month, currency, cast(5950 as bigint) as cash_minor,
    cast(0 as bigint) as suspense_minor, cast(0 as bigint) as unbilled_minor,
    cast(950 as bigint) as tax_minor, cast(0 as bigint) as deferred_minor,
    cast(5000 as bigint) as revenue_minor, cast(0 as bigint) as breakage_minor
from marts.main.fct_invoice_month;
create table marts.main.fct_invoice_draft as
select account_id, month, currency, 'purchase' as kind, granted_credits as credits,
    cast(null as decimal(24, 12)) as unit_price, cast(5950 as bigint) as gross_minor,
    cast(5950 as bigint) as paid_minor
from marts.main.fct_invoice_month
union all
select account_id, month, currency, 'overage' as kind, used_credits - 5000 as credits,
    cast(0.0125 as decimal(24, 12)) as unit_price, cast(0 as bigint) as gross_minor,
    cast(0 as bigint) as paid_minor
from marts.main.fct_invoice_month
"""

_STYLE = """
@page { size: A4; margin: 18mm 20mm 30mm 22mm; @bottom-right { font-size: 7.5pt;
    content: counter(page) " / " counter(pages); } }
body { font: 9.5pt Inter, sans-serif; font-variant-numeric: tabular-nums lining-nums; }
h1 { color: ACCENT; font-size: 20pt; font-weight: 600; float: right; margin: 0; }
h2 { color: ACCENT; font-size: 11pt; margin: 6mm 0 2.5mm; break-after: avoid; }
svg { height: 13mm; }
table { width: 100%; border-collapse: collapse; }
td, th { padding: 1.5mm 2mm; border-bottom: 0.5pt solid #cdcdcd; text-align: right; }
th { color: ACCENT; font-size: 8pt; border-bottom: 1pt solid ACCENT; }
td:first-child, th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
.facts, .totals { width: 98mm; margin: 6mm 0 6mm auto; }
"""


@click.command()
@click.option("--accounts", default=1_000, show_default=True, help="Invoices to issue.")
@click.option("--lines", default=40, show_default=True, help="Lines of each.")
@click.option("--sample", default=50, show_default=True, help="Documents that WeasyPrint makes.")
@click.option("--strict", is_flag=True, help="End with status 1 when the aim is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def main(accounts: int, lines: int, sample: int, strict: bool, as_json: bool) -> None:
    """Close a month of all accounts, then make some of its documents once more on both sides."""
    given = load_settings()
    base = given.home / "benchmarks"
    base.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="invoices-", dir=base))
    settings = Settings(home=home, memory=given.memory, threads=given.threads)
    try:
        build_lakes(settings, accounts, lines - CHARGES)
        with open_store(settings) as store:
            fill_store(store, accounts)
            issuing, closed = timed(lambda: close(settings, store, MONTH, now=NOW, actor="bench"))
            if len(closed.issued) != accounts:
                raise RuntimeError(f"held: {closed.held[:3]}")
            rendering, _ = timed(lambda: render_missing(settings, store, now=NOW))
            contents = [dict(one.content) for one in list_issued(store)[:sample]]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    ours = documents_a_second(render, contents)
    theirs = documents_a_second(weasyprinted, contents)
    outcome = {
        "invoices": accounts,
        "lines": lines,
        "machine": machine(),
        "issue_seconds": issuing,
        "render_seconds": rendering,
        "close_seconds": issuing + rendering,
        "documents_a_second_and_core": {"typst": ours, "weasyprint": theirs},
        "ratio": ours / theirs,
    }
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        _show(outcome)
    if strict and ours / theirs < AIM:
        sys.exit(1)


def build_lakes(settings: Settings, accounts: int, models: int) -> None:
    """Marts of one month, as a refresh would leave and publish them."""
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
    with writing(settings, "marts") as connection:
        connection.execute(_MARTS.format(month=MONTH, accounts=accounts, models=models))
    head = reading_head(settings)
    snapshots = [current_snapshot(head, lake) for lake in ("marts", "raw")]
    head.close()
    with writing(settings, "marts") as connection:
        publish(
            connection,
            marts_snapshot=snapshots[0],
            raw_snapshot=snapshots[1],
            raw_load_id=1,
            published_at=NOW,
        )


def fill_store(store: Store, accounts: int) -> None:
    """An issuer with a rate, and accounts with an address."""
    address = {"street": "1 High Street", "postcode": "D02", "city": "Dublin", "country": "IE"}
    own = {"postcode": "10119", "city": "Berlin", "country": "DE", "tax_id": "DE123456789"}
    set_issuer(
        store,
        {
            "name": "Craveva AI GmbH",
            "street": "Torstraße 1",
            "email": "billing@craveva.example",
            "iban": "DE89370400440532013000",
            **own,
        },
        now=NOW,
    )
    add_tax_rate(store, "DE", "19", date(2007, 1, 1), now=NOW)
    for number in range(accounts):
        account = f"a{number:05d}"
        add_account(
            store,
            account,
            currency="EUR",
            plan="prepaid_with_overage",
            overage_price="0.0125",
            now=NOW,
        )
        set_profile(store, account, {"name": f"Customer {number}", **address}, now=NOW)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a piece of work took, and what came of it."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def documents_a_second(
    make: Callable[[dict[str, Any]], bytes], contents: Sequence[dict[str, Any]]
) -> float:
    """Documents a second of processor time, after one that warms up; best of three rounds."""
    assert make(contents[0]).startswith(b"%PDF")
    times = []
    for _ in range(3):
        begun = time.process_time()
        for content in contents:
            make(content)
        times.append(time.process_time() - begun)
    return len(contents) / min(times)


def weasyprinted(content: dict[str, Any]) -> bytes:
    """The same texts and tables by WeasyPrint: PDF/A-3b with the same XML inside."""
    try:
        from weasyprint import HTML, Attachment
    except OSError as error:
        raise click.ClickException(
            f"WeasyPrint needs pango: apt-get install libpangoft2-1.0-0 ({error})"
        ) from error
    xml = Attachment(string=cii_of(content), name="factur-x.xml", relationship="Alternative")
    page = HTML(string=as_html(view_of(content)))
    made = page.write_pdf(pdf_variant="pdf/a-3b", attachments=[xml])
    assert isinstance(made, bytes)
    return made


def as_html(view: dict[str, Any]) -> str:
    """A page with everything that the template of Typst shows."""
    statement = {"heads": [], **(view["statement"] or {"title": "", "rows": []})}
    parts = [(view[name] or {"title": "", "heads": [], "rows": []}) for name in ("usage", "agents")]
    return "".join(
        (
            f"<html lang={view['language']}><title>{escape(view['title'])}</title><style>",
            _STYLE.replace("ACCENT", view["accent"]),
            f"</style><h1>{escape(view['title'])}</h1>",
            view["logo"] or f"<b>{escape(view['issuer_name'])}</b>",
            f"<p><small>{escape(view['sender'])}</small><p>",
            "<br>".join(map(escape, view["recipient"])),
            _table("facts", [], view["facts"]),
            _table("", view["heads"], view["lines"]),
            _table("totals", [], [row[:2] for row in view["totals"]]),
            *(f"<p>{escape(note)}" for note in view["notes"]),
            *(
                f"<h2>{escape(part['title'])}</h2>{_table('', part['heads'], part['rows'])}"
                for part in (statement, *parts)
            ),
            f"<p><small>{escape(' · '.join(view['legal']))}</small>",
        )
    )


def _table(kind: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<table class='{kind}'><thead><tr>{head}</thead>{body}</table>"


def _show(outcome: dict[str, Any]) -> None:
    console = report_console()
    console.print(json.dumps(outcome["machine"]))
    table = Table(header_style="bold")
    for name in ("what", "figure"):
        table.add_column(name, justify="left" if name == "what" else "right")
    speeds = outcome["documents_a_second_and_core"]
    for what, figure in (
        (f"issuing {outcome['invoices']:,} invoices, s", f"{outcome['issue_seconds']:.1f}"),
        ("rendering them, s", f"{outcome['render_seconds']:.1f}"),
        ("the whole close, s", f"{outcome['close_seconds']:.1f}"),
        ("documents a second and core, Typst", f"{speeds['typst']:.1f}"),
        ("documents a second and core, WeasyPrint", f"{speeds['weasyprint']:.1f}"),
        (f"ours ÷ WeasyPrint (at least {AIM:g})", f"{outcome['ratio']:.1f}"),
    ):
        table.add_row(what, figure)
    console.print(table)


if __name__ == "__main__":
    main()
