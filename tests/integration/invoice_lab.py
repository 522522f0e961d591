"""An instance with accounts to invoice, filled by hand: marts of months, charges and usage."""

import time
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection

import sqlalchemy as sa

from billing.accounts import add_account
from billing.alerts.delivery import Sender
from billing.alerts.outbox import Message, deliver
from billing.invoice_schema import billing_profile
from billing.invoices.closing import close
from billing.invoices.mailing import mail_states, write_mails
from billing.invoices.parties import add_tax_rate, set_issuer, set_profile
from billing.invoices.rendering import render_missing
from billing.schema import account, account_term
from billing.store import Store, open_store
from tests.integration.small_lake import PUBLISHED_AT, RAW_LOAD_ID, build_raw, run
from warehouse.lake import attach, writing
from warehouse.publication import publish
from warehouse.settings import Settings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OCTOBER = date(2026, 10, 1)
LEASE = timedelta(seconds=2)

RECIPIENT = {
    "name": "Acme Ltd",
    "street": "1 High Street",
    "postcode": "D02",
    "city": "Dublin",
    "country": "IE",
    "tax_id": "IE6388047V",
}

_MARTS = """
create table marts.main.dim_load as
select 'file' as kind, timestamp '2026-11-24 00:00' as finished_at;
create table marts.main.fct_invoice_month as
select printf('a%03d', n) as account_id, date '2026-10-01' as month, 'postpaid' as plan,
    'EUR' as currency, timestamp '2026-10-01' as starts_at, timestamp '2026-11-01' as ends_at,
    cast(0 as decimal(38, 9)) as opening_credits, cast(0 as decimal(38, 9)) as granted_credits,
    cast(0 as decimal(38, 9)) as invoiced_credits, cast(n as decimal(38, 9)) as used_credits,
    cast(0 as decimal(38, 9)) as forfeited_credits, cast(-n as decimal(38, 9)) as closing_credits,
    cast(0 as decimal(38, 9)) as invoiced_credits_so_far, cast(0 as bigint) as unrated_events,
    cast(0 as decimal(38, 9)) as exposure_high_credits
from range(1, {accounts} + 1) as account (n);
create table marts.main.fct_invoice_draft as
select account_id, month, currency, 'usage' as kind, used_credits as credits,
    cast(0.0125 as decimal(24, 12)) as unit_price, cast(0 as bigint) as gross_minor,
    cast(0 as bigint) as paid_minor
from marts.main.fct_invoice_month;
create table marts.main.fct_book_balance as
select account_id, month, currency, cast(n as bigint) as cash_minor,
    cast(0 as bigint) as suspense_minor, cast(0 as bigint) as unbilled_minor,
    cast(0 as bigint) as tax_minor, cast(n as bigint) as deferred_minor,
    cast(0 as bigint) as revenue_minor, cast(0 as bigint) as breakage_minor
from marts.main.fct_invoice_month, range(0, 1) as range (n);
create table marts.main.fct_usage_monthly as
select account_id, month, 'scout' as agent_id, 'llm' as category, 'gpt-5' as model,
    cast(3 as bigint) as events, cast(1000 as bigint) as total_tokens, used_credits as credits
from marts.main.fct_invoice_month
"""


def build_lakes(settings: Settings, accounts: int) -> None:
    """October's usage of accounts ``a001`` and so on, published."""
    raw_snapshot = build_raw(settings)
    with writing(settings, "marts") as connection:
        attach(connection, settings, "raw", snapshot=raw_snapshot)
        marts_snapshot = run(connection, _MARTS.replace("{accounts}", str(accounts)), "marts")
        publish(
            connection,
            marts_snapshot=marts_snapshot,
            raw_snapshot=raw_snapshot,
            raw_load_id=RAW_LOAD_ID,
            published_at=PUBLISHED_AT,
        )


def fill_store(store: Store, accounts: int) -> None:
    """The accounts, whom their invoices name, and an issuer; all as the first, in one go."""
    set_up_issuer(store)
    add_account(
        store, "a001", currency="EUR", plan="postpaid", overage_price="0.0125",
        email="a001@customer.example", now=NOW,
    )  # fmt: skip
    set_profile(store, "a001", {**RECIPIENT, "name": "Customer 1"}, now=NOW)
    names = [(f"a{number:03d}", f"Customer {number}") for number in range(2, accounts + 1)]
    with store.writing() as connection:
        for table, id_column in (
            (account, "id"), (account_term, "account_id"), (billing_profile, "account_id"),
        ):  # fmt: skip
            (first,) = connection.execute(sa.select(table)).mappings().all()
            (key,) = table.primary_key
            for account_id, name in names:
                values = {column: first[column] for column in first if column != key.name}
                values |= {"name": name} if "name" in first else {}
                values |= {"email": f"{account_id}@customer.example"} if "email" in first else {}
                connection.execute(sa.insert(table), values | {id_column: account_id})


def set_up_issuer(store: Store) -> None:
    """An issuer in Germany and its rate."""
    set_issuer(
        store,
        {
            "name": "Craveva AI GmbH", "street": "Torstraße 1", "postcode": "10119",
            "city": "Berlin", "country": "DE", "tax_id": "DE123456789",
            "email": "billing@craveva.example", "iban": "DE89370400440532013000",
        },
        now=NOW,
    )  # fmt: skip
    add_tax_rate(store, "DE", "19", date(2007, 1, 1), now=NOW)


def close_by_steps(settings: Settings, steps: Connection) -> None:
    """Close October, render and mail it, until every mail was sent.

    Before each step goes on it says so into ``steps`` and waits to be let: once an invoice was
    issued or a document stored, before a mail is sent and once it was accepted.
    """

    def step(_: object = None) -> None:
        steps.send_bytes(b"x")
        steps.recv_bytes()

    with open_store(settings) as store, Sender(settings, store) as sender:

        def send(message: Message) -> None:
            step()
            sender(message)
            step()

        close(settings, store, OCTOBER, now=NOW, actor="closer", told=step)
        render_missing(settings, store, now=NOW, told=step)
        write_mails(settings, store, now=NOW)
        while any(mail.state != "sent" for mail in mail_states(store).values()):
            deliver(store, send, lease=LEASE)
            time.sleep(0.05)  # claims of the killed run out
