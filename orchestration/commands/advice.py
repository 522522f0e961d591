"""``meterhouse advice``: what would save credits, and what accepted advice has saved."""

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import click
from rich.table import Table

from billing.accounts import get_account
from billing.advice import Acceptance, Advised, accept_advice, acceptances, withdraw_advice
from billing.store import open_store
from orchestration.commands.audited import logged
from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.publication import reading_published
from warehouse.settings import Settings, load_settings

_ADVISED = tuple(Advised.__dataclass_fields__)


@dataclass(frozen=True)
class Told:
    """An advice as it is published; ``is_guess`` where the log cannot prove it."""

    account_id: str
    advised: Advised
    events: int
    credits: Decimal
    is_guess: bool


@dataclass(frozen=True)
class Saved:
    """What an acceptance has saved on so many days with usage."""

    credits: Decimal
    days: int


@click.group()
def advice() -> None:
    """List advice, accept it and withdraw it again."""


@advice.command("list")
@click.option("--account", "account_id", help="Of this account; of all by default.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def list_(account_id: str | None, as_json: bool) -> None:
    """List what is advised, and what accepted advice has saved since."""
    settings = load_settings()
    with open_store(settings) as store:
        if account_id is not None:
            get_account(store, account_id)
        accepted = acceptances(store, account_id)
    told, saved = published(settings, account_id)
    taken = {(each.account_id, each.advised.advice_id) for each in accepted}
    open_ = [each for each in told if (each.account_id, each.advised.advice_id) not in taken]
    if as_json:
        found = {
            "open": [told_json(each) for each in open_],
            "accepted": [accepted_json(each, saved.get(each.decision_id)) for each in accepted],
        }
        click.echo(json.dumps(found, indent=2))
        return
    if open_:
        print_table(told_table(open_))
    else:
        click.echo("nothing to save is worth telling", err=True)
    if accepted:
        print_table(accepted_table(accepted, saved))


@advice.command("accept")
@click.argument("account_id")
@click.argument("advice_id")
@click.option("--json", "as_json", is_flag=True, help="Print the acceptance as a JSON object.")
def accept(account_id: str, advice_id: str, as_json: bool) -> None:
    """Accept an advice: from tomorrow (UTC) on, what it saves is measured."""
    settings = load_settings()
    with open_store(settings) as store, logged(store, "advice.accept", account_id):
        get_account(store, account_id)
        told, _ = published(settings, account_id)
        found = next((each for each in told if each.advised.advice_id == advice_id), None)
        if found is None:
            raise MeterhouseError(
                f"account {account_id} has no advice {advice_id} now; "
                f"`meterhouse advice list --account {account_id}` shows what it has"
            )
        accepted = accept_advice(store, account_id, found.advised)
    _say(accepted, "accepted", as_json)


@advice.command("withdraw")
@click.argument("account_id")
@click.argument("advice_id")
@click.option("--json", "as_json", is_flag=True, help="Print what was accepted as a JSON object.")
def withdraw(account_id: str, advice_id: str, as_json: bool) -> None:
    """End the measurement of an accepted advice; what it saved so far stays on record."""
    with open_store(load_settings()) as store, logged(store, "advice.withdraw", account_id):
        accepted = withdraw_advice(store, account_id, advice_id)
    _say(accepted, "withdrawn", as_json)


def published(settings: Settings, account_id: str | None) -> tuple[list[Told], dict[int, Saved]]:
    """The published advice, what saves most first, and what decisions have saved, by their id.

    Raises MeterhouseError before the first publication.
    """
    connection, _ = reading_published(settings)
    try:
        where = "where $account_id is null or account_id = $account_id"
        rows = connection.execute(
            f"select account_id, {', '.join(_ADVISED)}, events, credits, is_guess"
            f" from marts.main.rpt_insights_advice {where}"
            " order by saved_credits_month desc, account_id, advice_id",
            {"account_id": account_id},
        ).fetchall()
        saved = connection.execute(
            "select decision_id, sum(saved_credits), sum(days)"
            f" from marts.main.rpt_insights_advice_saving {where} group by decision_id",
            {"account_id": account_id},
        ).fetchall()
    finally:
        connection.close()
    return (
        [Told(row[0], Advised(*row[1:-3]), *row[-3:]) for row in rows],
        {decision_id: Saved(credits, int(days)) for decision_id, credits, days in saved},
    )


def told_json(told: Told) -> dict[str, Any]:
    """An advice as JSON; credits are strings."""
    return {
        "account_id": told.account_id,
        **_advised_json(told.advised),
        "events": told.events,
        "credits": f"{told.credits:f}",
        "is_guess": told.is_guess,
    }


def accepted_json(accepted: Acceptance, saved: Saved | None) -> dict[str, Any]:
    """An acceptance as JSON; ``saved_credits`` is null before anything was measured."""
    return {
        "account_id": accepted.account_id,
        **_advised_json(accepted.advised),
        "accepted_at": accepted.accepted_at.isoformat(),
        "accepted_by": accepted.accepted_by,
        "saved_credits": f"{saved.credits:f}" if saved else None,
        "measured_days": saved.days if saved else 0,
    }


def told_table(told: list[Told]) -> Table:
    """Advice as a table."""
    table = Table(header_style="bold")
    for column in ("account", "id", "advice", "agent", "model"):
        table.add_column(column, overflow="fold")
    for column in ("calls", "credits a month"):
        table.add_column(column, justify="right")
    for each in told:
        advised = each.advised
        table.add_row(
            each.account_id,
            advised.advice_id,
            kind_of(advised.kind) + (" (a guess)" if each.is_guess else ""),
            advised.agent_id,
            _models(advised),
            f"{each.events:,}",
            f"{advised.saved_credits_month:,.2f}",
        )
    return table


def accepted_table(accepted: list[Acceptance], saved: dict[int, Saved]) -> Table:
    """Accepted advice as a table."""
    table = Table(header_style="bold", title="accepted", title_justify="left")
    for column in ("account", "id", "advice", "agent", "since"):
        table.add_column(column, overflow="fold")
    for column in ("saved", "on days"):
        table.add_column(column, justify="right")
    for each in accepted:
        found = saved.get(each.decision_id)
        table.add_row(
            each.account_id,
            each.advised.advice_id,
            kind_of(each.advised.kind),
            each.advised.agent_id,
            f"{each.accepted_at:%Y-%m-%d}",
            f"{found.credits:,.2f}" if found else "–",
            str(found.days) if found else "0",
        )
    return table


def kind_of(kind: str) -> str:
    """A kind of advice in words."""
    return kind.replace("_", " ")


def _models(advised: Advised) -> str:
    if advised.candidate_model is not None:
        return f"{advised.model} → {advised.candidate_model}"
    return advised.model or "all"


def _advised_json(advised: Advised) -> dict[str, Any]:
    values = asdict(advised)
    return {
        name: f"{value:f}" if isinstance(value, Decimal) else value
        for name, value in values.items()
    }


def _say(accepted: Acceptance, what: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(accepted_json(accepted, None), indent=2))
        return
    advised = accepted.advised
    click.echo(
        f"{what} {advised.advice_id}: {kind_of(advised.kind)} of {advised.agent_id}", err=True
    )
