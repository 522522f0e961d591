"""``meterhouse budgets`` and ``meterhouse alerts``: limits, and who is told when."""

import json
from contextlib import AbstractContextManager
from typing import Any

import click
import sqlalchemy as sa
from rich.table import Table

from billing.accounts import get_account
from billing.alerts import outbox, running
from billing.alerts import simulation as replayed
from billing.alerts.rules import DEFAULTS, AlertRule, change_rule, rules_of
from billing.budgets.budget import (
    ACTUAL_PERCENTS,
    SCOPES,
    UNITS,
    Budget,
    make_budget,
    refuse_unsigned,
)
from billing.budgets.stored import (
    add_budget,
    change_budget,
    get_budget,
    list_budgets,
    remove_budget,
)
from billing.schema import alert_transition
from billing.store import Store, open_store
from billing.usage_sums import open_lake
from orchestration.commands.audited import logged, owner
from orchestration.commands.credits import plain
from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def budgets() -> None:
    """Limit what an account, an agent, a model or a category uses."""


@budgets.command("add")
@click.argument("account_id")
@click.argument("limit")
@click.option("--name", required=True, help="What it is called.")
@click.option("--unit", type=click.Choice(UNITS), default="credits", show_default=True)
@click.option("--scope", type=click.Choice(SCOPES), default="account", show_default=True)
@click.option("--part", help="Which agent, model or category.")
@click.option("--rolling-days", type=int, help="The last days in place of calendar months.")
@click.option("--at", "actual", type=int, multiple=True, help="Percent of actual use; repeat it.")
@click.option("--projected", type=int, multiple=True, help="Percent of projected use.")
@click.option("--to", "recipients", multiple=True, help="Who is told; the account by default.")
@click.option("--webhook", help="Address that gets signed JSON.")
@click.option("--tell-end", is_flag=True, help="Tell as well when it is back under a threshold.")
@click.option("--enforce", is_flag=True, help="The balance route says that it is reached.")
@_JSON
def add_(
    account_id: str,
    limit: str,
    name: str,
    unit: str,
    scope: str,
    part: str | None,
    rolling_days: int | None,
    actual: tuple[int, ...],
    projected: tuple[int, ...],
    recipients: tuple[str, ...],
    webhook: str | None,
    tell_end: bool,
    enforce: bool,
    as_json: bool,
) -> None:
    """Add a budget."""
    made = make_budget(
        account_id,
        name=name,
        limit=limit,
        scope=scope,
        part=part,
        unit=unit,
        rolling_days=rolling_days,
        actual_percents=actual or ACTUAL_PERCENTS,
        projected_percents=projected or None,
        recipients=recipients,
        webhook_url=webhook,
        tells_end=tell_end,
        is_enforced=enforce,
    )
    settings = load_settings()
    refuse_unsigned(settings, made.webhook_url)
    with open_store(settings) as store, logged(store, "budget.save", account_id):
        _say(add_budget(store, made), as_json)


@budgets.command("list")
@click.argument("account_id", required=False)
@_JSON
def list_(account_id: str | None, as_json: bool) -> None:
    """List the budgets of an account, or of all."""
    with open_store(load_settings()) as store:
        if account_id is not None:
            get_account(store, account_id)
        found = list_budgets(store, account_id)
    if as_json:
        click.echo(json.dumps([budget_json(each) for each in found], indent=2))
        return
    _table(
        ("budget", "account", "name", "of", "limit", "alerts at"),
        [
            (
                str(each.budget_id),
                each.account_id,
                each.name,
                each.about,
                f"{plain(each.limit_amount)} {each.unit} "
                + (f"in {each.rolling_days} days" if each.rolling_days else "a month"),
                ", ".join(
                    [f"{n} %" for n in each.actual_percents]
                    + [f"{n} % projected" for n in each.projected_percents]
                ),
            )
            for each in found
        ],
    )


@budgets.command("set")
@click.argument("budget_id", type=int)
@click.option("--name", help="What it is called.")
@click.option("--limit", help="The limit, in the budget's unit.")
@click.option("--at", "actual", type=int, multiple=True, help="Percent of actual use; repeat it.")
@click.option("--projected", type=int, multiple=True, help="Percent of projected use.")
@click.option("--to", "recipients", multiple=True, help="Who is told.")
@click.option("--webhook", help="Address that gets signed JSON; empty for none.")
@click.option("--tell-end/--no-tell-end", default=None, help="Tell as well when it ends.")
@click.option("--enforce/--no-enforce", default=None, help="The balance route enforces it.")
@_JSON
def set_(
    budget_id: int,
    name: str | None,
    limit: str | None,
    actual: tuple[int, ...],
    projected: tuple[int, ...],
    recipients: tuple[str, ...],
    webhook: str | None,
    tell_end: bool | None,
    enforce: bool | None,
    as_json: bool,
) -> None:
    """Change a budget from now on; what is left out stays. A new limit alerts anew."""
    changes = {
        "name": name,
        "limit": limit,
        "actual_percents": actual or None,
        "projected_percents": projected or None,
        "recipients": recipients or None,
        "webhook_url": webhook,
        "tells_end": tell_end,
        "is_enforced": enforce,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    settings = load_settings()
    refuse_unsigned(settings, webhook)
    with open_store(settings) as store, _logged(store, "budget.save", budget_id):
        _say(change_budget(store, budget_id, given), as_json)


@budgets.command("remove")
@click.argument("budget_id", type=int)
def remove_(budget_id: int) -> None:
    """Remove a budget; its history stays."""
    with open_store(load_settings()) as store, _logged(store, "budget.remove", budget_id):
        removed = remove_budget(store, budget_id)
    click.echo(f"removed the budget {budget_id}, {removed.name}", err=True)


@click.group()
def alerts() -> None:
    """Judge budgets, balances and spikes; send what is to be told."""


@alerts.command("run")
@_JSON
def run_(as_json: bool) -> None:
    """Judge every rule now and send what waits. Running it twice tells nothing twice."""
    settings = load_settings()
    with open_store(settings) as store, open_lake(settings) as lake:
        run = running.run_alerts(settings, store, lake)
    sent = run.delivered
    if as_json:
        counts = {"judged": run.judged, "changes": run.changes, "written": run.written}
        click.echo(json.dumps(counts | vars(sent)))
        return
    click.echo(
        f"judged {run.judged:,}  changed {run.changes:,}  sent {sent.sent:,}  "
        f"failed for now {sent.failed:,}  given up {sent.given_up:,}"
    )
    if not settings.smtp_host and sent.sent:
        click.echo(f"no mail server is set: mails are in {settings.mail_folder}", err=True)


@alerts.command("list")
@click.argument("account_id")
@_JSON
def rules_(account_id: str, as_json: bool) -> None:
    """Show the alerts that an account has besides its budgets."""
    with open_store(load_settings()) as store:
        account = get_account(store, account_id)
        found = rules_of(store, account_id)
    if as_json:
        click.echo(json.dumps([rule_json(each) for each in found.values()], indent=2))
        return
    _table(
        ("alert", "is", "threshold", "told"),
        [
            (
                kind,
                "on" if rule.is_on else "off",
                "" if kind == "weekly_report" else plain(rule.threshold),
                "\n".join(
                    [*(rule.recipients or (account.current.email or "nobody",)), *_hook(rule)]
                ),
            )
            for kind, rule in found.items()
        ],
    )


@alerts.command("set")
@click.argument("account_id")
@click.argument("kind", type=click.Choice(tuple(DEFAULTS)))
@click.option("--on/--off", "is_on", default=None, help="Whether it is told at all.")
@click.option("--threshold", help="Credits, or days of a runway, from which it is told.")
@click.option("--to", "recipients", multiple=True, help="Who is told; repeat it.")
@click.option("--to-account", is_flag=True, help="Tell the account's own address again.")
@click.option("--webhook", help="Address that gets signed JSON; empty for none.")
@click.option("--tell-end/--no-tell-end", default=None, help="Tell as well when it ends.")
@_JSON
def set_rule_(
    account_id: str,
    kind: str,
    is_on: bool | None,
    threshold: str | None,
    recipients: tuple[str, ...],
    to_account: bool,
    webhook: str | None,
    tell_end: bool | None,
    as_json: bool,
) -> None:
    """Change one alert of an account; what is left out stays."""
    settings = load_settings()
    refuse_unsigned(settings, webhook)
    changes = {
        "is_on": is_on,
        "threshold": threshold,
        "recipients": () if to_account else recipients or None,
        "webhook_url": webhook,
        "tells_end": tell_end,
    }
    with open_store(settings) as store, logged(store, "alerts.change", account_id):
        rule = change_rule(store, account_id, kind, changes)
    if as_json:
        click.echo(json.dumps(rule_json(rule), indent=2))
        return
    click.echo(f"{kind} of {account_id} is {'on' if rule.is_on else 'off'}", err=True)


def rule_json(rule: AlertRule) -> dict[str, Any]:
    """An alert of an account as JSON; its threshold is a text."""
    return {
        "account_id": rule.account_id,
        "kind": rule.kind,
        "is_on": rule.is_on,
        "threshold": f"{rule.threshold.normalize():f}",
        "recipients": list(rule.recipients),
        "webhook_url": rule.webhook_url,
        "tells_end": rule.tells_end,
    }


def _hook(rule: AlertRule) -> tuple[str, ...]:
    return (rule.webhook_url,) if rule.webhook_url else ()


@alerts.command("simulate")
@click.argument("budget_id", type=int)
@click.option("--months", type=click.IntRange(1, 36), default=6, show_default=True)
@_JSON
def simulate_(budget_id: int, months: int, as_json: bool) -> None:
    """Replay a budget over past months: which alerts would have been sent, and when."""
    settings = load_settings()
    with open_store(settings) as store, open_lake(settings) as lake:
        budget = get_budget(store, budget_id)
        zone = get_account(store, budget.account_id).current.time_zone
        publication = lake.publication()
        if publication is None:
            raise MeterhouseError("nothing is published yet; run `meterhouse refresh`")
        used = replayed.use_by_day(lake, publication, budget)
    first, until = replayed.past_months(months, zone)
    found = replayed.simulate(budget, used, first, until, zone)
    rows = [
        {
            "day": each.day.isoformat(),
            "alert": each.title,
            "amount": f"{each.amount.normalize():f}",
            "alerts_at": f"{each.limit.normalize():f}",
            "days_before_limit": each.days_before,
        }
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"no alert from {first} to today", err=True)
        return
    _table(
        ("day", "alert", "use", "alerts at", "days before the limit"),
        [tuple("" if v is None else str(v) for v in row.values()) for row in rows],
    )


@alerts.command("history")
@click.argument("account_id", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
def history_(account_id: str | None, limit: int, as_json: bool) -> None:
    """Show changes of state and what became of their messages, the newest first."""
    with open_store(load_settings()) as store:
        query = sa.select(alert_transition).order_by(alert_transition.c.transition_id.desc())
        if account_id is not None:
            get_account(store, account_id)
            query = query.where(alert_transition.c.account_id == account_id)
        with store.reading() as connection:
            changes = connection.execute(query.limit(limit)).all()
        sent = outbox.history(store, account_id, limit * 20)
    rows: list[dict[str, Any]] = [
        {
            "occurred_at": f"{each.occurred_at:%Y-%m-%d %H:%M}",
            "account_id": each.account_id,
            "state": each.state,
            "alert": each.title,
            "messages": [
                f"{m.recipient}: {m.kind or 'waiting'}{f' ({m.detail})' if m.detail else ''}"
                for m in sent
                if m.transition_id == each.transition_id
            ],
        }
        for each in changes
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    _table(
        ("when (UTC)", "account", "state", "alert", "messages"),
        [
            tuple("\n".join(v) if isinstance(v, list) else str(v) for v in row.values())
            for row in rows
        ],
    )


def budget_json(budget: Budget) -> dict[str, Any]:
    """A budget as JSON; its limit is a text."""
    return {
        "budget_id": budget.budget_id,
        "account_id": budget.account_id,
        "name": budget.name,
        "scope": budget.scope,
        "part": budget.part,
        "unit": budget.unit,
        "limit": f"{budget.limit_amount.normalize():f}",
        "rolling_days": budget.rolling_days,
        "actual_percents": list(budget.actual_percents),
        "projected_percents": list(budget.projected_percents),
        "recipients": list(budget.recipients),
        "webhook_url": budget.webhook_url,
        "tells_end": budget.tells_end,
        "is_enforced": budget.is_enforced,
    }


def _logged(store: Store, action: str, budget_id: int) -> AbstractContextManager[None]:
    return logged(store, action, owner(lambda: get_budget(store, budget_id).account_id))


def _say(budget: Budget, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(budget_json(budget), indent=2))
        return
    click.echo(f"budget {budget.budget_id}: {budget.name}", err=True)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    print_table(table)
