"""``meterhouse incidents``: what was unusual and why; marking it as expected."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import click
from rich.table import Table

from billing.accounts import get_account
from billing.incidents import (
    PARTS,
    Incident,
    Mark,
    incident_on,
    list_incidents,
    list_marks,
    mark_days,
    mark_of,
)
from billing.store import Store, open_store
from billing.usage_sums import open_lake
from orchestration.commands.audited import logged
from orchestration.commands.credits import plain
from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings


@click.group()
def incidents() -> None:
    """Show unusual days and what they came from; mark them as expected."""


@incidents.command("list")
@click.argument("account_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(account_id: str | None, as_json: bool) -> None:
    """List the incidents of an account, or of all, as published, the newest first."""
    settings = load_settings()
    with open_store(settings) as store, open_lake(settings) as lake:
        if account_id is not None:
            get_account(store, account_id)
        found = list_incidents(lake, account_id)
        marks = {name: list_marks(store, name) for name in {each.account_id for each in found}}
    if as_json:
        _print_json([incident_json(each, marks[each.account_id]) for each in found])
        return
    if not found:
        click.echo("nothing unusual", err=True)
        return
    table = Table(header_style="bold")
    for column in ("days", "account", "cause", "by"):
        table.add_column(column, overflow="fold")
    for column in ("excess", "severity"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("expected", overflow="fold")
    for each in found:
        mark = mark_of(marks[each.account_id], each.first_date, each.last_date)
        table.add_row(
            _days(each.first_date, each.last_date),
            each.account_id,
            PARTS[each.cause],
            each.driver_id,
            plain(round(each.excess_credits, 2)),
            plain(each.severity),
            mark.reason if mark and mark.is_expected else "",
        )
    print_table(table)


@incidents.command("expect")
@click.argument("account_id")
@click.argument("day")
@click.option("--reason", required=True, help="Why it was to be expected; it stands for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print the mark as a JSON object.")
def expect(account_id: str, day: str, reason: str, as_json: bool) -> None:
    """Mark the incident that DAY is in as expected; future ranges respect it."""
    _mark(account_id, day, True, reason, as_json)


@incidents.command("unexpect")
@click.argument("account_id")
@click.argument("day")
@click.option("--reason", required=True, help="Why not; it stands for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print the mark as a JSON object.")
def unexpect(account_id: str, day: str, reason: str, as_json: bool) -> None:
    """Take the mark of the incident that DAY is in back."""
    _mark(account_id, day, False, reason, as_json)


def _mark(account_id: str, day: str, is_expected: bool, reason: str, as_json: bool) -> None:
    settings = load_settings()
    with open_store(settings) as store, logged(store, "incident.mark", account_id):
        get_account(store, account_id)
        mark = _marked(store, account_id, _date(day), is_expected, reason)
    if as_json:
        _print_json(mark_json(mark))
        return
    said = "expected" if is_expected else "no longer expected"
    days = _days(mark.first_date, mark.last_date)
    click.echo(f"{days} of {account_id} is {said} from the next refresh on", err=True)


def _marked(store: Store, account_id: str, day: date, is_expected: bool, reason: str) -> Mark:
    """Mark the incident of ``day``; raises MeterhouseError where that would change nothing."""
    with open_lake(load_settings()) as lake:
        incident = incident_on(lake, account_id, day)
    first, last = incident.first_date, incident.last_date
    before = mark_of(list_marks(store, account_id), first, last)
    if is_expected == (before is not None and before.is_expected):
        said = "is expected already" if is_expected else "is not marked as expected"
        raise MeterhouseError(f"{_days(first, last)} of {account_id} {said}")
    return mark_days(store, account_id, first, last, is_expected=is_expected, reason=reason)


def incident_json(incident: Incident, marks: list[Mark]) -> dict[str, Any]:
    """An incident as JSON; credits are strings. ``mark`` is what was last marked, null of none."""
    mark = mark_of(marks, incident.first_date, incident.last_date)
    return {
        "account_id": incident.account_id,
        "first_date": incident.first_date.isoformat(),
        "last_date": incident.last_date.isoformat(),
        "cause": incident.cause,
        "driver": incident.driver,
        "driver_id": incident.driver_id,
        "severity": _text(incident.severity),
        "credits": _text(incident.credits),
        "expected_credits": _text(incident.expected_credits),
        "excess_credits": _text(incident.excess_credits),
        "parts": {
            "volume": _text(incident.volume_credits),
            "size": _text(incident.size_credits),
            "price": _text(incident.price_credits),
            "mix": _text(incident.mix_credits),
            "new_agent": _text(incident.new_agent_credits),
            "errors": _text(incident.error_credits),
        },
        "is_expected": incident.is_expected,
        "mark": mark_json(mark) if mark else None,
    }


def mark_json(mark: Mark) -> dict[str, Any]:
    """A mark as JSON."""
    return {
        "mark_id": mark.mark_id,
        "account_id": mark.account_id,
        "first_date": mark.first_date.isoformat(),
        "last_date": mark.last_date.isoformat(),
        "is_expected": mark.is_expected,
        "reason": mark.reason,
        "recorded_at": mark.recorded_at.isoformat(),
        "recorded_by": mark.recorded_by,
    }


def _days(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise MeterhouseError(f"{text!a} is no day; write for example 2026-11-23") from None


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
