"""How the closing of a month stands, for the platform's staff: a close that is tried and not done.

Amounts are minor units of the account's currency, without tax.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from app.csv_text import csv_text
from app.gate import Gate, StaffQuestion
from app.queries.data_health import CHECKS
from billing.invoices.charges import Line, totals_of
from billing.invoices.closing import Preview, limits_of, lines_owed, preview
from billing.invoices.guards import BOUND_MONTHS, Hold
from billing.invoices.payments import Open, open_items

PAGE_SIZE = 25
MONTHS_SHOWN = 36

State = Literal["issued", "ready", "held"]

GUARDS = {
    "over": "Month or grace not over",
    "order": "An earlier month is open",
    "fresh": "Usage is not complete",
    "rated": "Usage without a price",
    "lots": "Earlier invoices not published",
    "address": "Nobody knows the address",
    "tax": "No rate of tax",
    "checks": "Checks fail",
    "bounds": "Unusual total",
}
"""What the guards are called."""

CAUSES = {
    "late_usage": "late usage",
    "corrected_usage": "corrected usage",
    "withdrawn_usage": "withdrawn usage",
    "lots_changed": "lots changed",
    "price_or_plan_changed": "price or plan changed",
    "late_purchase": "late purchase",
    "purchase_reversed": "purchase reversed",
    "tax_changed": "tax changed",
    "rounding": "rounding",
}
"""What causes of differences are called."""


@dataclass(frozen=True)
class Month:
    """A month that can be looked at, and how many accounts have it."""

    month: date
    accounts: int


@dataclass(frozen=True)
class AccountMonth:
    """An account's month.

    ``net_minor`` is what was issued, or would be; None where its tax is not known. ``earlier`` are
    the net totals of up to six invoices before. ``open_minor`` is what of an issued month is not
    paid, ``difference_minor`` what is known since beyond all its documents and ``causes`` why, as
    published.
    """

    account_id: str
    name: str
    state: State
    numbers: tuple[str, ...]
    holds: tuple[Hold, ...]
    currency: str
    net_minor: int | None
    earlier: tuple[int, ...]
    open_minor: int
    difference_minor: int
    causes: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Why a month of an account differs from what was invoiced; several causes are one text."""

    account_id: str
    cause: str


@dataclass(frozen=True)
class Books:
    """The books of all accounts in a currency at the end of a month, as published."""

    currency: str
    revenue_minor: int
    breakage_minor: int
    deferred_revenue_minor: int
    receivable_minor: int
    unbilled_minor: int
    tax_payable_minor: int
    cash_minor: int
    is_closed: bool


@dataclass(frozen=True)
class HeldBy:
    """A guard that tripped, the accounts that it holds, and what to do, by reason."""

    guard: str
    reasons: Mapping[str, tuple[str, ...]]

    @property
    def accounts(self) -> tuple[str, ...]:
        """Names of all accounts that it holds."""
        return tuple(name for names in self.reasons.values() for name in names)


@dataclass(frozen=True)
class Closing:
    """All accounts of a month; held ones first, then by name."""

    month: date
    accounts: tuple[AccountMonth, ...]
    books: tuple[Books, ...]

    def of(self, state: str | None) -> tuple[AccountMonth, ...]:
        """Those in a state, or all."""
        return tuple(each for each in self.accounts if state in (None, each.state))

    def totals(self) -> dict[str, int]:
        """Net totals, issued or as drafted, by currency: that of most accounts with one first."""
        sums: dict[str, int] = defaultdict(int)
        for each in self.accounts:
            sums[each.currency] += each.net_minor or 0
        count = Counter(each.currency for each in self.accounts if each.net_minor)
        return dict(sorted(sums.items(), key=lambda item: (-count[item[0]], item[0])))

    def held(self) -> list[HeldBy]:
        """What holds accounts, what holds most of them first."""
        found: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        for each in self.accounts:
            for hold in each.holds:
                names = found[hold.guard].get(hold.reason, ())
                found[hold.guard][hold.reason] = (*names, each.name)
        held = [HeldBy(guard, reasons) for guard, reasons in found.items()]
        order = list(GUARDS)
        return sorted(held, key=lambda each: (-len(each.accounts), order.index(each.guard)))


MONTHS = StaffQuestion(
    Month,
    "select {columns} from (select month, count(*) as accounts from marts.main.rpt_invoices_month"
    " where starts_at <= $now group by month) order by month desc limit $shown",
)


DIFFERENCES = StaffQuestion(
    Difference,
    "select {columns} from marts.main.rpt_invoices_difference where month = $month"
    " and difference_net_minor <> 0 order by account_id, kind",
)
BOOKS = StaffQuestion(
    Books,
    "select {columns} from marts.main.rpt_invoices_books where month = $month order by currency",
)


def gather_months(gate: Gate, now: datetime) -> list[Month]:
    """Months that have begun at ``now``, the time that is published, the newest first."""
    clock = now.astimezone(UTC).replace(tzinfo=None)
    return gate.ask_staff(MONTHS, now=clock, shown=MONTHS_SHOWN)


def last_month(months: Sequence[Month], now: datetime) -> date:
    """The month to close: the last that is over, else the newest there is."""
    over = (now.date().replace(day=1) - timedelta(days=1)).replace(day=1)
    return over if any(each.month == over for each in months) else months[0].month


def gather_closing(gate: Gate, month: date, now: datetime) -> Closing:
    """What a close of the month would do now; nothing is written and nobody waits.

    Raises MeterhouseError where there is no store or nobody issues invoices yet.
    """
    failed = (
        [
            check.check_name
            for check in gate.ask_staff(CHECKS)
            if not check.is_passed and check.severity == "error"
        ]
        if gate.has_checks()
        else []
    )
    found = preview(
        gate.store(), gate.lake(), month, limits_of(gate.settings), failed_checks=failed, now=now
    )
    names = {account.account_id: account.name for account in gate.accounts()}
    holds: dict[str, list[Hold]] = defaultdict(list)
    for hold in found.closed.held:
        holds[hold.account_id].append(hold)
    causes: dict[str, list[str]] = defaultdict(list)
    for difference in gate.ask_staff(DIFFERENCES, month=month):
        causes[difference.account_id] += difference.cause.replace(" ", "").split(",")
    items = open_items(gate.store())
    accounts = [
        _account(
            found,
            account,
            names.get(account, account),
            tuple(holds.get(account, ())),
            tuple(dict.fromkeys(causes.get(account, ()))),
            items,
        )
        for account, day in found.facts.months
        if day == month
    ]
    accounts.sort(key=lambda each: (each.state != "held", each.name.lower(), each.account_id))
    return Closing(month, tuple(accounts), tuple(gate.ask_staff(BOOKS, month=month)))


def closing_csv(closing: Closing) -> str:
    """Every account of the month as CSV; amounts are minor units."""
    return csv_text(
        [
            "month", "account_id", "name", "state", "documents", "guards", "what_to_do", "currency",
            "net_minor", "previous_net_minor", "open_minor", "difference_minor", "causes",
        ],
        (
            [
                f"{closing.month:%Y-%m}", each.account_id, each.name, each.state,
                " ".join(each.numbers), " ".join(hold.guard for hold in each.holds),
                "; ".join(hold.reason for hold in each.holds), each.currency, each.net_minor,
                each.earlier[-1] if each.earlier else None, each.open_minor,
                each.difference_minor, " ".join(each.causes),
            ]
            for each in closing.accounts
        ),
    )  # fmt: skip


def _account(
    found: Preview,
    account: str,
    name: str,
    holds: tuple[Hold, ...],
    causes: tuple[str, ...],
    items: Mapping[str, Open],
) -> AccountMonth:
    month, facts, books = found.closed.month, found.facts, found.books
    currency = facts.months[account, month].currency
    issued = [past for past in books.issued.get(account, ()) if past.currency == currency]
    own = [past for past in issued if past.month == month]
    is_issued = account in found.closed.already
    owed = lines_owed(facts, books, account, month, currency, is_alone=is_issued)
    net: int | None = _net(owed) if owed else None
    if is_issued:
        net = sum(past.totals.net_minor for past in own)
    difference = _net(owed) if is_issued else 0
    earlier = [
        past.totals.net_minor for past in issued if past.series == "invoice" and past.month < month
    ]
    return AccountMonth(
        account,
        name,
        "issued" if is_issued else "held" if holds else "ready",
        tuple(past.number for past in own),
        holds,
        currency,
        net,
        tuple(earlier[-BOUND_MONTHS:]),
        sum(items[past.number].open_minor for past in own if past.number in items),
        difference,
        causes if difference else (),
    )


def _net(lines: Iterable[Line]) -> int:
    return totals_of(list(lines)).net_minor
