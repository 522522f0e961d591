"""Everything settled that the Credits page shows of one account: days of its balance, its ledger.

Credits are Decimals as the marts hold them; days are the account's own, times UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.csv_text import csv_text
from app.gate import AccountQuestion, AccountReader
from billing.position import LotPosition

PAGE_SIZE = 25

POSTING_KINDS = {
    "grant": "Granted",
    "consumption": "Used",
    "overage": "Overage",
    "overage_payment": "Overage paid",
    "expiry": "Expired",
    "void": "Voided",
    "refund": "Refunded",
    "chargeback": "Charged back",
}
"""What the kinds of postings are called."""


@dataclass(frozen=True)
class BalanceDay:
    """What a day changed of the balance, and the balance when it ended."""

    balance_date: date
    granted_credits: Decimal
    consumed_credits: Decimal
    overage_credits: Decimal
    overage_paid_credits: Decimal
    forfeited_credits: Decimal
    closing_credits: Decimal


@dataclass(frozen=True)
class Posting:
    """A posting of the ledger, and the balance after it."""

    posting_number: int
    posted_date: date
    posted_at: datetime
    posting_kind: str
    lot_id: int | None
    lot_kind: str | None
    lot_reason: str | None
    usage_date: date | None
    credits: Decimal
    change_credits: Decimal
    balance_credits: Decimal
    value_minor: Decimal | None
    currency: str | None


@dataclass(frozen=True)
class LedgerFilter:
    """Which postings: kinds and lots are alternatives, days have both ends; empty means all."""

    kinds: tuple[str, ...] = ()
    lot: int | None = None
    first: date | None = None
    last: date | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is filtered."""
        return self == LedgerFilter()


@dataclass(frozen=True)
class LedgerTotals:
    """How many postings a filter finds and by how much they change the balance."""

    postings: int
    change_credits: Decimal | None


@dataclass(frozen=True)
class LedgerPage:
    """One page of a filtered ledger, the newest posting first; ``number`` is from 1."""

    postings: tuple[Posting, ...]
    totals: LedgerTotals
    number: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.totals.postings // PAGE_SIZE))


DAYS = AccountQuestion("rpt_credits_daily", BalanceDay, order="balance_date")

_FILTER = (
    "(len($kinds) = 0 or list_contains($kinds, posting_kind))"
    " and ($lot is null or lot_id = $lot)"
    " and ($first is null or posted_date >= $first) and ($last is null or posted_date <= $last)"
)
LEDGER = AccountQuestion(
    "rpt_credits_ledger", Posting, where=_FILTER, order="posting_number desc", limit=PAGE_SIZE
)
WHOLE_LEDGER = AccountQuestion("rpt_credits_ledger", Posting, where=_FILTER, order="posting_number")
LEDGER_TOTALS = AccountQuestion(
    "rpt_credits_ledger",
    LedgerTotals,
    where=_FILTER,
    columns={"postings": "count(*)", "change_credits": "sum(change_credits)"},
)


def gather_days(reader: AccountReader) -> list[BalanceDay]:
    """The balance of every day from the first on which credits changed."""
    return reader.ask(DAYS)


def gather_ledger(reader: AccountReader, chosen: LedgerFilter, page: int) -> LedgerPage:
    """A page of the ledger; the last one where there are fewer."""
    parameters = _parameters(chosen)
    totals = reader.ask(LEDGER_TOTALS, **parameters)[0]
    found = LedgerPage((), totals, 1)
    number = min(max(page, 1), found.pages)
    question = AccountQuestion(
        LEDGER.model,
        Posting,
        where=LEDGER.where,
        order=LEDGER.order,
        limit=PAGE_SIZE,
        offset=(number - 1) * PAGE_SIZE,
    )
    return LedgerPage(tuple(reader.ask(question, **parameters)), totals, number)


def ledger_csv(reader: AccountReader, chosen: LedgerFilter) -> str:
    """The filtered ledger, the oldest posting first, with every digit; times are UTC."""
    names = [field.name for field in fields(Posting)]
    postings = reader.ask(WHOLE_LEDGER, **_parameters(chosen))
    return csv_text(names, ([getattr(posting, name) for name in names] for posting in postings))


def soon(lots: Iterable[LotPosition], now: datetime, days: int) -> list[LotPosition]:
    """Lots with credits left that expire within so many days, the first to expire first."""
    until = now + timedelta(days=days)
    return sorted(
        (
            lot
            for lot in lots
            if lot.status == "active"
            and lot.remaining > 0
            and lot.expires_at is not None
            and lot.expires_at <= until
        ),
        key=lambda lot: (lot.expires_at, lot.grant_id),
    )


def _parameters(chosen: LedgerFilter) -> dict[str, Any]:
    return {
        "kinds": list(chosen.kinds),
        "lot": chosen.lot,
        "first": chosen.first,
        "last": chosen.last,
    }
