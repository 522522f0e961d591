"""The weekly report of an account: once a week, for the week that ended in the account's zone.

A week runs from Monday to Sunday. Its report goes out on Monday from six in the morning on, so that
late usage is in it; who could not be told then is told later in the week.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from billing.alerts import figures
from billing.alerts.judging import local_day, midnight
from billing.alerts.letters import Letter, one_line, shown
from billing.alerts.messages import days_link
from billing.incidents import PARTS, Incident
from billing.live_usage import Lake
from warehouse.publication import Publication

READY_AFTER = timedelta(hours=6)
TOP_AGENTS = 5
SPIKES, ADVICE = 5, 3
_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class AgentWeek:
    """Credits of an agent in the week and in the one before; None is usage without an agent."""

    agent_id: str | None
    credits: Decimal
    before: Decimal


@dataclass(frozen=True)
class Advice:
    """Advice that was not accepted: credits that it would save a month."""

    account_id: str
    advice_id: str
    kind: str
    agent_id: str
    saved_credits_month: Decimal


@dataclass(frozen=True)
class Report:
    """What a report says; ``days`` are those of the week before and of the week.

    ``projected`` are the running month and its projection, None where there is none;
    ``balance`` is None for who has no credits to look after.
    """

    account_id: str
    account_name: str
    first: date
    agents: Sequence[AgentWeek]
    days: Sequence[tuple[date, Decimal]]
    projected: tuple[date, Decimal] | None
    balance: figures.Balance | None
    spikes: Sequence[Incident]
    advice: Sequence[Advice]

    @property
    def credits(self) -> Decimal:
        """Credits of the week."""
        return sum((each.credits for each in self.agents), Decimal(0))

    @property
    def before(self) -> Decimal:
        """Credits of the week before."""
        return sum((each.before for each in self.agents), Decimal(0))


def week_to_report(reached: datetime, zone: str, created_at: datetime) -> date | None:
    """The Monday of the week to report once figures reach ``reached``; None for none yet.

    Weeks that were over before the account was added are no news.
    """
    today = local_day(reached - READY_AFTER, zone)
    monday = today - timedelta(days=today.weekday())
    return monday - _WEEK if midnight(monday, zone) > created_at else None


def reference_of(account_id: str, first: date) -> str:
    """What the references of a report's messages begin with; an account's id has no bar."""
    return f"{week_prefix(first)}{account_id}"


def week_prefix(first: date) -> str:
    """What the references of all reports of a week begin with."""
    return f"weekly|{first}|"


def gather(
    lake: Lake,
    publication: Publication,
    weeks: Mapping[str, date],
    names: Mapping[str, str],
    accepted: frozenset[tuple[str, str]],
) -> list[Report]:
    """The reports of accounts and their weeks; none of who used nothing in both weeks.

    ``accepted`` are (account, advice) that somebody acted on.
    """
    if not weeks:
        return []
    agents, days = _usage(lake, publication, weeks)
    if not agents:
        return []
    projections = figures.projected(lake, publication)
    running = {
        account: (month, amount)
        for (account, scope, _, unit, month), amount in projections.items()
        if scope == "account" and unit == "credits"
    }
    balances = figures.balances(lake, publication)
    spikes: dict[str, list[Incident]] = {}
    for incident in figures.incidents(lake, publication, min(weeks.values())):
        first = weeks.get(incident.account_id)
        if first and first <= incident.first_date < first + _WEEK:
            spikes.setdefault(incident.account_id, []).append(incident)
    advice: dict[str, list[Advice]] = {}
    for each in _advice(lake, publication, sorted(agents)):
        if (each.account_id, each.advice_id) not in accepted:
            advice.setdefault(each.account_id, []).append(each)
    found = []
    for account_id in sorted(agents):
        balance = balances.get(account_id)
        found.append(
            Report(
                account_id,
                names[account_id],
                weeks[account_id],
                agents[account_id],
                days[account_id],
                running.get(account_id),
                balance if balance and balance.granted else None,
                sorted(spikes.get(account_id, ()), key=lambda each: -each.excess_credits),
                advice.get(account_id, ()),
            )
        )
    return found


def subject(report: Report) -> str:
    """One line: the week, the account."""
    last = report.first + _WEEK - timedelta(days=1)
    return one_line(f"Week {report.first} to {last}: {report.account_name}")


def letter(report: Report, base: str) -> Letter:
    """The mail of a report; ``base`` is the app's address."""
    before = report.before
    rows = [("Used", f"{shown(report.credits)} credits")]
    if before:
        change = int(100 * (report.credits - before) / before)
        rows.append(("Week before", f"{shown(before)} credits ({change:+,} %)"))
    if report.projected is not None:
        month, amount = report.projected
        rows.append((f"Projected of {month:%B %Y}", f"{shown(amount)} credits"))
    if report.balance is not None:
        days = report.balance.runway_days
        lasts = f", lasts about {days:,.0f} days" if days is not None else ""
        rows.append(("Balance", f"{shown(report.balance.balance)} credits{lasts}"))
    lists = [
        (
            "Top agents",
            [
                f"{each.agent_id or 'no agent'}: {shown(each.credits)} credits, "
                f"before {shown(each.before)}"
                for each in report.agents[:TOP_AGENTS]
                if each.credits
            ],
        ),
        ("New spikes", [_spike(each) for each in report.spikes[:SPIKES]]),
        (
            "Open advice",
            [
                f"{each.kind.replace('_', ' ').capitalize()} of {each.agent_id}: about "
                f"{shown(each.saved_credits_month)} credits a month"
                for each in report.advice[:ADVICE]
            ],
        ),
    ]
    until = report.first + _WEEK
    return Letter(
        title=subject(report),
        tone="plain",
        figures=rows,
        link=days_link(base, report.account_id, report.first, until, "account", None),
        link_text="Usage of the week",
        days=report.days,
        marked_from=report.first,
        lists=[(heading, lines) for heading, lines in lists if lines],
        foot="This report comes once a week; the page Budgets switches it off.",
    )


def _spike(incident: Incident) -> str:
    return (
        f"{incident.first_date}: {shown(incident.excess_credits)} credits above what was "
        f"expected, {PARTS[incident.cause]}"
    )


def _usage(
    lake: Lake, publication: Publication, weeks: Mapping[str, date]
) -> tuple[dict[str, list[AgentWeek]], dict[str, list[tuple[date, Decimal]]]]:
    """By account: agents, the most used first, and the days of both weeks."""
    rows = lake.rows(
        """
        with ask as (select unnest($accounts) as account_id, unnest($firsts) as first_date)
        select daily.account_id, agent_id, usage_date, sum(credits)
        from marts.main.rpt_usage_daily as daily
        inner join ask on ask.account_id = daily.account_id
            and usage_date >= first_date - 7 and usage_date < first_date + 7
        where usage_date >= $first and usage_date < $until
        group by all
        order by all
        """,
        {
            "accounts": list(weeks),
            "firsts": list(weeks.values()),
            "first": min(weeks.values()) - _WEEK,
            "until": max(weeks.values()) + _WEEK,
        },
        publication=publication,
    )
    sums: dict[str, dict[str | None, list[Decimal]]] = {}
    by_day: dict[str, dict[date, Decimal]] = {}
    for account_id, agent_id, day, credits in rows:
        amount, first = Decimal(credits or 0), weeks[account_id]
        pair = sums.setdefault(account_id, {}).setdefault(agent_id, [Decimal(0), Decimal(0)])
        pair[day < first] += amount
        week = [first - _WEEK + timedelta(days=n) for n in range(14)]
        days = by_day.setdefault(account_id, dict.fromkeys(week, Decimal(0)))
        days[day] += amount
    agents = {
        account_id: sorted(
            (AgentWeek(name, now, before) for name, (now, before) in found.items()),
            key=lambda each: (-each.credits, each.agent_id or ""),
        )
        for account_id, found in sums.items()
    }
    return agents, {account_id: list(days.items()) for account_id, days in by_day.items()}


def _advice(lake: Lake, publication: Publication, accounts: Sequence[str]) -> list[Advice]:
    rows = lake.rows(
        "select account_id, advice_id, kind, agent_id, saved_credits_month"
        " from marts.main.rpt_insights_advice"
        " where list_contains($accounts, account_id) and saved_credits_month > 0"
        " order by account_id, saved_credits_month desc, advice_id",
        {"accounts": list(accounts)},
        publication=publication,
    )
    return [Advice(*row) for row in rows]
