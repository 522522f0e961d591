"""``meterhouse accounts``: who the platform's customers are, and on which terms."""

import json
from typing import Any

import click
from rich.table import Table

from billing.accounts import Account, add_account, list_accounts, set_account
from billing.store import open_store
from billing.terms import Term
from billing.validation import BEGINNING, INVOICED_PLANS, PLANS, parse_month
from orchestration.commands.audited import logged
from orchestration.commands.tables import print_table
from warehouse.settings import load_settings


@click.group()
def accounts() -> None:
    """Add, change and list accounts."""


@accounts.command("add")
@click.argument("account_id")
@click.option("--name", help="Display name; the id by default.")
@click.option(
    "--time-zone", default="UTC", show_default=True, help="IANA zone of its days and months."
)
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code.")
@click.option("--email", help="Registered address, where invoices go.")
@click.option("--plan", default="prepaid", show_default=True, help=f"One of {', '.join(PLANS)}.")
@click.option(
    "--overage-price",
    help="What a credit beyond the lots costs, in the currency; "
    f"needed on {' and '.join(INVOICED_PLANS)}.",
)
def add(
    account_id: str,
    name: str | None,
    time_zone: str,
    currency: str,
    email: str | None,
    plan: str,
    overage_price: str | None,
) -> None:
    """Add an account; its usage that was held back flows in with the next load or refresh."""
    with open_store(load_settings()) as store, logged(store, "account.add", account_id):
        account = add_account(
            store,
            account_id,
            name=name,
            time_zone=time_zone,
            currency=currency,
            email=email,
            plan=plan,
            overage_price=overage_price,
        )
    click.echo(f"added the account {account.account_id}: {described(account.current)}", err=True)


@accounts.command("set")
@click.argument("account_id")
@click.option("--name", help="Display name.")
@click.option("--time-zone", help="IANA zone of its days and months.")
@click.option("--currency", help="ISO 4217 code.")
@click.option("--email", help="Registered address; an empty text removes it.")
@click.option("--plan", help=f"One of {', '.join(PLANS)}.")
@click.option(
    "--overage-price",
    help="What a credit beyond the lots costs, in the currency; an empty text removes it.",
)
@click.option(
    "--from",
    "month",
    metavar="MONTH",
    help="Month from which it holds, such as 2026-03. By default the current month for name and "
    "e-mail, the next one for time zone, currency, plan and price of overage.",
)
def set_(account_id: str, month: str | None, **fields: str | None) -> None:
    """Change an account from the start of a month on."""
    changes = given_changes(fields)
    with open_store(load_settings()) as store, logged(store, "account.change", account_id):
        terms = set_account(
            store, account_id, changes, effective_from=parse_month(month) if month else None
        )
    if not terms:
        click.echo(f"nothing to change: {account_id} has these values already", err=True)
    for term in terms:
        since = "the beginning" if term.effective_from == BEGINNING else term.effective_from
        click.echo(f"{account_id} from {since}: {described(term)}", err=True)


@accounts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(as_json: bool) -> None:
    """List all accounts as of now, with what is recorded for later months."""
    with open_store(load_settings()) as store:
        found = list_accounts(store)
    if as_json:
        click.echo(json.dumps([account_json(account) for account in found], indent=2))
        return
    if not found:
        click.echo("there are no accounts yet; add one with `meterhouse accounts add`", err=True)
        return
    print_table(account_table(found))


def given_changes(fields: dict[str, str | None]) -> dict[str, str | None]:
    """The options that were given; an empty e-mail or price means none."""
    return {
        field: None if field in ("email", "overage_price") and not value.strip() else value
        for field, value in fields.items()
        if value is not None
    }


def described(term: Term) -> str:
    """A term in one line."""
    parts = [term.name, term.time_zone, term.currency, term.plan, term.email or "no e-mail"]
    if term.overage_price is not None:
        parts.append(f"overage at {term.overage_price.normalize():f} {term.currency} a credit")
    return ", ".join(parts)


def account_json(account: Account) -> dict[str, Any]:
    """An account as JSON: its current values, and later terms under ``upcoming``."""
    return {
        "account_id": account.account_id,
        **_term_json(account.current),
        "created_at": account.created_at.isoformat(),
        "created_by": account.created_by,
        "upcoming": [_term_json(term) for term in account.upcoming],
    }


def account_table(found: list[Account]) -> Table:
    """Accounts as a table; a later term stands under its account, with its start."""
    table = Table(header_style="bold")
    for column in ("account", "name", "time zone", "currency", "plan", "e-mail"):
        table.add_column(column, overflow="fold")
    for account in found:
        table.add_row(account.account_id, *_cells(account.current))
        for term in account.upcoming:
            table.add_row(f"  from {term.effective_from}", *_cells(term), style="dim")
    return table


def _term_json(term: Term) -> dict[str, Any]:
    return {
        "effective_from": term.effective_from.isoformat(),
        "name": term.name,
        "time_zone": term.time_zone,
        "currency": term.currency,
        "email": term.email,
        "plan": term.plan,
        "overage_price": None if term.overage_price is None else f"{term.overage_price:f}",
    }


def _cells(term: Term) -> list[str]:
    price = "" if term.overage_price is None else f" at {term.overage_price.normalize():f}"
    return [term.name, term.time_zone, term.currency, term.plan + price, term.email or ""]
