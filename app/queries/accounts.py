"""Every account as it stands, for the platform's staff: figures, what deserves a look, the list.

Figures are those of the published snapshot, in the month that runs on each account's calendar. What
the operational store and the raw lake know (budgets, invoices, rejected rows) is as of now.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.balance import LOW_DAYS
from app.csv_text import csv_text
from app.formats import utc
from app.gate import Account, Gate, StaffQuestion
from app.queries.data_health import OPEN_ROWS
from app.queries.overview import gather_freshness
from billing.alerts.judging import local_day
from billing.invoices.payments import OpenInvoice
from billing.validation import next_month

PAGE_SIZE = 50
IDLE_DAYS = 28
"""Days without usage after which an account counts as idle."""


@dataclass(frozen=True)
class Standing:
    """An account in the month that runs; the reporting model describes each field.

    One that is declared and not published yet has no month and no figures.
    """

    account_id: str
    name: str
    time_zone: str
    currency: str
    plan: str
    last_usage_date: date | None
    today: date | None
    month: date | None
    credits: Decimal | None
    events: int
    unrated_events: int
    unpriced_events: int
    provider_cost_usd: Decimal | None
    revenue_currency: str | None
    revenue_minor: Decimal | None
    margin_usd: Decimal | None
    projected_credits: Decimal | None
    projected_cost_usd: Decimal | None
    granted_credits: Decimal | None
    balance_credits: Decimal | None
    overage_credits: Decimal | None
    runway_days: Decimal | None
    run_out_date: date | None
    spike_date: date | None

    @property
    def margin_share(self) -> Decimal | None:
        """The margin as a part of the revenue; None without either."""
        if self.margin_usd is None or not self.revenue_minor:
            return None
        return self.margin_usd / (self.revenue_minor / 100)


@dataclass(frozen=True)
class HeldRows:
    """How many rejected rows of an account were not replayed yet."""

    account_id: str
    rows: int


STANDINGS = StaffQuestion(
    Standing,
    "select {columns} from marts.main.rpt_accounts_standing order by lower(name), account_id",
)
HELD_ROWS = StaffQuestion(
    HeldRows,
    f"""
    select {{columns}} from (
        select account_id, count(*) as rows from ({OPEN_ROWS})
        where account_id is not null group by account_id
    ) order by account_id
    """,
    state="head",
)


@dataclass(frozen=True)
class Watched:
    """What is known of accounts ``at`` a time: names of budgets whose limit the settled use has
    reached, invoices that are not paid, rejected rows that were not replayed.
    """

    at: datetime
    budgets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    invoices: Mapping[str, Sequence[OpenInvoice]] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Flag:
    """Why an account deserves a look; ``kind`` is that of a badge, ``text`` what it is called."""

    key: str
    text: str
    kind: str
    means: str


FLAGS = {
    flag.key: flag
    for flag in (
        Flag("empty", "no credits", "bad", "Nothing is left of its credits"),
        Flag("overdue", "overdue", "bad", "An invoice was not paid in time"),
        Flag("budget", "budget", "bad", "A budget has reached its limit"),
        Flag("low", "low", "warn", "Credits last less than 14 days, or not to the month's end"),
        Flag("loss", "loss", "warn", "The month's usage earned less than it cost"),
        Flag("spike", "spike", "warn", "Unusual usage in the last 7 days"),
        Flag("unrated", "unrated", "warn", "Usage of the month without a rate is held back"),
        Flag("held", "rejected", "warn", "Rows of its log were rejected and not replayed"),
        Flag("idle", "idle", "quiet", "No usage in the last 28 days"),
    )
}
"""Every flag, what is worst first."""


def flags_of(each: Standing, watched: Watched) -> tuple[Flag, ...]:
    """The flags of an account, what is worst first. docs/semantics.md says what each means."""
    today, account = each.today, each.account_id
    has_lots = each.plan != "postpaid" and bool(each.granted_credits)
    is_empty = has_lots and (each.balance_credits or 0) <= 0
    is_short = each.runway_days is not None and each.runway_days < LOW_DAYS
    ends = each.run_out_date is not None and each.month is not None
    runs_out = ends and each.run_out_date < next_month(each.month)  # type: ignore[operator,arg-type]
    found = {
        "empty": is_empty,
        "overdue": bool(overdue(each, watched)),
        "budget": account in watched.budgets,
        "low": has_lots and not is_empty and (is_short or runs_out),
        "loss": each.margin_usd is not None and each.margin_usd < 0 and not each.overage_credits,
        "spike": each.spike_date is not None,
        "unrated": each.unrated_events > 0,
        "held": account in watched.held,
        "idle": each.last_usage_date is None
        or (today is not None and each.last_usage_date < today - timedelta(days=IDLE_DAYS)),
    }
    return tuple(flag for key, flag in FLAGS.items() if found[key])


def overdue(each: Standing, watched: Watched) -> list[OpenInvoice]:
    """The invoices of an account whose last day to pay is over, on its own calendar."""
    day = local_day(watched.at, each.time_zone)
    return [
        invoice for invoice in watched.invoices.get(each.account_id, ()) if invoice.due_on < day
    ]


def gather_standings(gate: Gate) -> tuple[Standing, ...]:
    """Every published account, then those that are only declared yet, by name. For the staff."""
    published = gate.ask_staff(STANDINGS)
    known = {each.account_id for each in published}
    declared = [each for each in gate.declared_accounts() if each.account_id not in known]
    declared.sort(key=lambda each: (each.name.lower(), each.account_id))
    return (*published, *map(_declared, declared))


def gather_watched(gate: Gate, now: datetime) -> Watched:
    """What store and raw lake know of all accounts at ``now``, budgets as far as figures reach."""
    budgets: dict[str, list[str]] = {}
    invoices: dict[str, list[OpenInvoice]] = {}
    if gate.has_store():
        as_of = gather_freshness(gate).as_of
        for budget in gate.reached_budgets(utc(as_of)) if as_of else ():
            budgets.setdefault(budget.account_id, []).append(budget.name)
        for invoice in gate.open_invoices():
            invoices.setdefault(invoice.account_id, []).append(invoice)
    held = gate.ask_staff(HELD_ROWS) if gate.has_raw() else []
    return Watched(now, budgets, invoices, {each.account_id: each.rows for each in held})


def _declared(account: Account) -> Standing:
    """The standing of an account of which nothing is published."""
    names = {
        name: getattr(account, name)
        for name in ("account_id", "name", "time_zone", "currency", "plan")
    }
    blank: dict[str, Any] = dict.fromkeys(Standing.__dataclass_fields__)
    return Standing(**{**blank, "events": 0, "unrated_events": 0, "unpriced_events": 0, **names})


@dataclass(frozen=True)
class Line:
    """An account of the list with its flags."""

    standing: Standing
    flags: tuple[Flag, ...]


_ORDER = tuple(FLAGS.values())

SORTS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.standing.name.lower(),
    "balance": lambda line: line.standing.balance_credits,
    "used": lambda line: line.standing.credits,
    "margin": lambda line: line.standing.margin_usd,
    "projected": lambda line: line.standing.projected_credits,
    "flags": lambda line: tuple(flag in line.flags for flag in FLAGS.values()),
}
"""What the list can be sorted by; accounts without such a figure come last."""


def lines_of(standings: Sequence[Standing], watched: Watched) -> tuple[Line, ...]:
    """All accounts with their flags."""
    return tuple(Line(each, flags_of(each, watched)) for each in standings)


def found(lines: Sequence[Line], text: str, flag: str | None) -> list[Line]:
    """The accounts whose name or id holds ``text``, whatever its case, and that have a flag."""
    wanted = text.casefold()
    return [
        line
        for line in lines
        if (flag is None or any(each.key == flag for each in line.flags))
        and (
            wanted in line.standing.name.casefold() or wanted in line.standing.account_id.casefold()
        )
    ]


def ordered(lines: Sequence[Line], sort: str, *, is_descending: bool) -> list[Line]:
    """The accounts in an order; those without the figure last, those alike by name."""
    figure = SORTS[sort]
    by_name = sorted(lines, key=lambda line: (line.standing.name.lower(), line.standing.account_id))
    known = [line for line in by_name if figure(line) is not None]
    unknown = [line for line in by_name if figure(line) is None]
    return [*sorted(known, key=figure, reverse=is_descending), *unknown]


def counts(lines: Sequence[Line]) -> Counter[str]:
    """How many accounts have each flag."""
    return Counter(flag.key for line in lines for flag in line.flags)


def accounts_csv(lines: Sequence[Line]) -> str:
    """The accounts as CSV; revenue in minor units, cost and margin in US dollars."""
    columns = [name for name in Standing.__dataclass_fields__ if name != "today"]
    return csv_text(
        [*columns, "flags"],
        (
            [
                *(getattr(line.standing, name) for name in columns),
                " ".join(flag.key for flag in line.flags),
            ]
            for line in lines
        ),
    )
