"""A run of the alerts: judge every rule at the published snapshot, store changes, send messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from billing.accounts import Account, list_accounts
from billing.advice import acceptances
from billing.alerts import figures, judging, weekly
from billing.alerts.delivery import send_due
from billing.alerts.machine import Past, Reading, Transition, folded, step
from billing.alerts.outbox import Delivered, domain_of, put, references
from billing.alerts.rules import AlertRule, all_rules, rule_for
from billing.alerts.writing import Judged, change_messages, report_messages
from billing.budgets.budget import Budget, Period
from billing.budgets.stored import list_budgets
from billing.live_usage import Lake
from billing.once import insert_once
from billing.schema import alert_transition
from billing.store import Store
from warehouse.publication import Publication
from warehouse.settings import Settings

SPIKE_DAYS = 7
"""How far back incidents are told that nobody was told of yet."""

_AT_ONCE = 200


@dataclass(frozen=True)
class Measure:
    """A budget in a period: no ``use`` where there are no data, no projection where none is."""

    budget: Budget
    period: Period
    use: figures.Used | None
    projected: Decimal | None


@dataclass(frozen=True)
class Run:
    """What a run did: rules judged, changes stored, messages written, and what was sent."""

    judged: int
    changes: int
    written: int
    delivered: Delivered


def run_alerts(settings: Settings, store: Store, lake: Lake, now: datetime | None = None) -> Run:
    """Judge, store and send. Any number of runs at once or one after another do it once."""
    at = now or datetime.now(UTC)
    judged, changes, written = evaluate(settings, store, lake, at)
    written += write_reports(settings, store, lake, at)
    return Run(judged, changes, written, send_due(settings, store, now=now))


def evaluate(
    settings: Settings, store: Store, lake: Lake, now: datetime | None = None
) -> tuple[int, int, int]:
    """Judge every rule, store the changes and write their messages: how many of each."""
    at = now or datetime.now(UTC)
    publication = lake.publication()
    accounts = {account.account_id: account for account in list_accounts(store, now=at)}
    found = judge(lake, publication, accounts, list_budgets(store), all_rules(store), at)
    found = _named(store, found)
    past = _pasts(store, found)
    changes = [
        (each, change)
        for each in found
        if (change := step(past.get(_key(each.reading), Past()), each.reading, at))
    ]
    stored = written = 0
    for start in range(0, len(changes), _AT_ONCE):
        batch = [
            (change, change_messages(settings, lake, publication, accounts, each, change))
            for each, change in changes[start : start + _AT_ONCE]
        ]
        with store.writing() as connection:
            for change, texts in batch:
                transition_id = _store(connection, change)
                if transition_id is None:
                    continue  # another run was quicker
                stored += 1
                domain = domain_of([settings.mail_from])
                for text in texts:
                    written += put(connection, text, transition_id, domain, at)
    return len(found), stored, written


def write_reports(settings: Settings, store: Store, lake: Lake, now: datetime | None = None) -> int:
    """Write the weekly reports that are due: how many messages. An account gets one a week."""
    publication = lake.publication()
    at, live = _reached(lake, publication, now or datetime.now(UTC))
    if live is None:
        return 0
    rules, weeks, told = all_rules(store), {}, {}
    for account in list_accounts(store, now=at):
        rule = rule_for(rules, account.account_id, "weekly_report")
        to = _recipients(rule.recipients, account)
        first = weekly.week_to_report(at, account.current.time_zone, account.created_at)
        if rule.is_on and to and first:
            weeks[account.account_id] = first
            told[account.account_id] = (account.current.name, to)
    written: set[str] = set()
    for first in set(weeks.values()):
        written |= {
            reference.split("|")[2] for reference in references(store, weekly.week_prefix(first))
        }
    due = {name: first for name, first in weeks.items() if name not in written}
    accepted = frozenset(
        (each.account_id, each.advised.advice_id) for each in (acceptances(store) if due else ())
    )
    names = {name: told[name][0] for name in due}
    count, domain = 0, domain_of([settings.mail_from])
    for report in weekly.gather(lake, live, due, names, accepted):
        with store.writing() as connection:
            for message in report_messages(settings, report, told[report.account_id][1]):
                count += put(connection, message, None, domain, now or datetime.now(UTC))
    return count


def judge(
    lake: Lake,
    publication: Publication | None,
    accounts: dict[str, Account],
    budgets: Sequence[Budget],
    rules: dict[tuple[str, str], AlertRule],
    now: datetime,
) -> list[Judged]:
    """Every rule in every period that is open. Stale figures are no data."""
    at, live = _reached(lake, publication, now)
    found = []
    for each in measure(lake, publication, accounts, budgets, now):
        to = each.budget.recipients
        if each.budget.unit == "credits":  # provider cost is not the customer's to know
            to = _recipients(to, accounts[each.budget.account_id])
        missing = each.use.missing_events if each.use else 0
        for reading in judging.budget_readings(each.budget, each.period, each.use, each.projected):
            ask = (each.budget, each.period)
            found.append(Judged(reading, to, each.budget.webhook_url, ask, missing))
    balances = figures.balances(lake, live) if live else {}
    for account_id, account in accounts.items():
        pair = [rule_for(rules, account_id, kind) for kind in ("low_balance", "runway")]
        if live is None or account_id in balances:
            readings = judging.balance_readings(
                pair, account.current.plan, balances.get(account_id)
            )
            by_kind = {rule.kind: rule for rule in pair}
            for reading in readings:
                rule = by_kind[reading.rule_key.partition(":")[0]]
                found.append(
                    Judged(reading, _recipients(rule.recipients, account), rule.webhook_url)
                )
    if live:
        since = (at - timedelta(days=SPIKE_DAYS)).date()
        for incident in figures.incidents(lake, live, since):
            owner = accounts.get(incident.account_id)
            rule = rule_for(rules, incident.account_id, "spike")
            if owner is None or not rule.is_on or _is_older(owner, incident.first_date):
                continue
            reading = judging.spike_reading(rule, incident)
            to = _recipients(rule.recipients, owner)
            found.append(Judged(reading, to, rule.webhook_url, incident=incident))
    return found


def measure(
    lake: Lake,
    publication: Publication | None,
    accounts: Mapping[str, Account],
    budgets: Sequence[Budget],
    now: datetime,
) -> list[Measure]:
    """What budgets used in their open periods, the one that runs last."""
    at, live = _reached(lake, publication, now)
    zones = {name: account.current.time_zone for name, account in accounts.items()}
    asks: list[figures.Ask] = [
        (budget, period)
        for budget in budgets
        for period in judging.periods(budget, judging.local_day(at, zones[budget.account_id]))
    ]
    if live is None:
        return [Measure(budget, period, None, None) for budget, period in asks]
    projections = figures.projected(lake, live)
    first_days = figures.first_days(lake, live)
    found = []
    for (budget, period), use in zip(asks, figures.used(lake, live, asks), strict=True):
        zone, projected = zones[budget.account_id], None
        if budget.account_id not in first_days:
            found.append(Measure(budget, period, None, None))
            continue
        if period.is_month and judging.local_day(at, zone) < period.until:
            key = (budget.account_id, budget.scope, budget.part or "", budget.unit, period.first)
            rate = judging.run_rate(use.amount, period, at, zone)
            projected = projections.get(key, rate)
        found.append(Measure(budget, period, use, projected))
    return found


def _reached(
    lake: Lake, publication: Publication | None, now: datetime
) -> tuple[datetime, Publication | None]:
    """The time that the figures reach and where to read them; ``now`` and None if stale."""
    moment = figures.as_of(lake, publication) if publication else None
    if moment is None:
        return now, None
    reached = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (reached, publication) if now - reached <= judging.STALE_AFTER else (now, None)


def _is_older(account: Account, day: date) -> bool:
    """Whether a day was before the account was added: what happened then is no news."""
    return day < judging.local_day(account.created_at, account.current.time_zone)


def _recipients(own: tuple[str, ...], account: Account) -> tuple[str, ...]:
    return own or ((account.current.email,) if account.current.email else ())


def _key(reading: Reading) -> tuple[str, str]:
    return reading.rule_key, reading.period_key


def _named(store: Store, found: Sequence[Judged]) -> list[Judged]:
    """The same; incidents whose first day moved keep the period that they were told under."""
    if not any(each.incident for each in found):
        return list(found)
    table = alert_transition
    query = (
        sa.select(table.c.account_id, table.c.period_key)
        .where(table.c.rule_key.startswith("spike:"))
        .distinct()
    )
    told: dict[str, list[str]] = {}
    with store.reading() as connection:
        for row in connection.execute(query):
            told.setdefault(row.account_id, []).append(row.period_key)

    def named(each: Judged) -> Judged:
        if each.incident is None:
            return each
        key = judging.same_incident(each.incident, told.get(each.incident.account_id, ()))
        return replace(each, reading=replace(each.reading, period_key=key))

    return [named(each) for each in found]


def _pasts(store: Store, found: Sequence[Judged]) -> dict[tuple[str, str], Past]:
    """What is stored of the rules and periods at hand."""
    table = alert_transition
    query = (
        sa.select(table)
        .where(table.c.period_key.in_({each.reading.period_key for each in found}))
        .order_by(table.c.rule_key, table.c.period_key, table.c.number)
    )
    grouped: dict[tuple[str, str], list[sa.Row[tuple[object, ...]]]] = {}
    with store.reading() as connection:
        for row in connection.execute(query):
            grouped.setdefault((row.rule_key, row.period_key), []).append(row)
    return {
        key: folded((row.state, row.is_told, row.occurred_at) for row in rows)
        for key, rows in grouped.items()
    }


def _store(connection: sa.Connection, change: Transition) -> int | None:
    reading = change.reading
    row = insert_once(
        connection,
        alert_transition,
        {
            "reference": change.reference,
            "account_id": reading.account_id,
            "rule_key": reading.rule_key,
            "period_key": reading.period_key,
            "number": change.number,
            "state": reading.state,
            "is_told": change.is_told,
            "title": reading.title[:500],
            "amount": None if reading.amount is None else f"{reading.amount:f}",
            "limit_amount": f"{reading.limit:f}",
            "occurred_at": change.at,
            "recorded_at": datetime.now(UTC),
        },
        "reference",
    )
    return None if row is None else int(row.transition_id)
