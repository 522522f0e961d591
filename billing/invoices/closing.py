"""Closing a month: guards, drafts, issuing, documents.

Whatever is interrupted is resumed by running it again: accounts that were issued are passed over,
documents that are missing are rendered.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout

from billing.currencies import MINOR_DIGITS
from billing.invoice_schema import invoice
from billing.invoices import guards
from billing.invoices.charges import (
    Line,
    MonthCharges,
    Tax,
    lines_of,
    overage_lots,
    split,
    totals_of,
)
from billing.invoices.facts import Facts, MonthFacts, UsageRow, read_facts
from billing.invoices.guards import Hold, Limits
from billing.invoices.issued import (
    BookBalance,
    Issued,
    OverageLot,
    ToIssue,
    as_json,
    issue,
    read_issued,
)
from billing.invoices.parties import (
    Issuer,
    Profile,
    TaxRate,
    find_issuer,
    list_profiles,
    list_tax_rates,
    profile_at,
    tax_at,
)
from billing.invoices.rounding import fitted
from billing.live_usage import Lake
from billing.schema import credit_grant
from billing.store import Store, current_user
from billing.usage_sums import open_lake
from billing.validation import next_month
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings
from warehouse.status import status

_ADVISORY_KEY = 0x4D48_0007


@dataclass(frozen=True)
class Prepared:
    """An account's documents before they are issued, the lots and balances that go with them."""

    account_id: str
    documents: tuple[ToIssue, ...]
    lots: tuple[OverageLot, ...]
    balances: tuple[BookBalance, ...] = ()


@dataclass(frozen=True)
class Closed:
    """What a close did, or would do: ``drafts`` are there only where nothing was to be issued."""

    month: date
    issued: tuple[Issued, ...] = ()
    drafts: tuple[Prepared, ...] = ()
    held: tuple[Hold, ...] = ()
    already: tuple[str, ...] = ()


@dataclass(frozen=True)
class Books:
    """What the store knows besides: who issues, whom invoices name, what was issued, which lots."""

    issuer: Issuer
    profiles: Mapping[str, Sequence[Profile]]
    rates: Sequence[TaxRate]
    issued: Mapping[str, Sequence[Issued]]
    lots: Mapping[str, Decimal] = field(default_factory=dict)

    def tax(self, account_id: str, month: date) -> Tax | None:
        """How an account's month is taxed; None where that is not known."""
        profile = profile_at(self.profiles.get(account_id, ()), month)
        return tax_at(profile, self.issuer.country, self.rates, month) if profile else None


@dataclass(frozen=True)
class Preview:
    """What a close would do, and what it follows from."""

    closed: Closed
    facts: Facts
    books: Books


def close(
    settings: Settings,
    store: Store,
    month: date,
    *,
    account_id: str | None = None,
    dry_run: bool = False,
    accept: Collection[str] = (),
    now: datetime | None = None,
    actor: str | None = None,
    told: Callable[[Issued], None] = lambda _: None,
) -> Closed:
    """Close a month for all accounts, or one: issue what the guards let through, once.

    ``accept`` names accounts whose total is right although it is far from earlier ones. ``told`` is
    called after each document is stored. A dry run writes nothing and waits for nobody. Raises
    MeterhouseError when another close runs, nothing is published yet, there is no issuer, the month
    has not begun, or an account that is named has no such month.
    """
    at = now or datetime.now(UTC)
    with nullcontext() if dry_run else alone(settings, store), open_lake(settings) as lake:
        found = preview(
            store,
            lake,
            month,
            limits_of(settings),
            account_id=account_id,
            failed_checks=[check.check_name for check in status(settings).errors],
            accept=accept,
            now=at,
        )
        there = {account for account, day in found.facts.months if day == month}
        if unknown := sorted(set(accept) - there):
            raise MeterhouseError(
                f"there is nothing to accept of {unknown[0]} in {month:%Y-%m}; "
                "`meterhouse accounts list` shows all accounts"
            )
        if dry_run:
            return found.closed
        issued: list[Issued] = []
        for draft in found.closed.drafts:
            for document in issue(
                store,
                found.books.issuer,
                draft.documents,
                draft.lots,
                draft.balances,
                raw_load_id=found.facts.publication.raw_load_id,
                now=at,
                actor=actor or current_user(),
            ):
                issued.append(document)
                told(document)
    return replace(found.closed, issued=tuple(issued))


def preview(
    store: Store,
    lake: Lake,
    month: date,
    limits: Limits,
    *,
    account_id: str | None = None,
    failed_checks: Sequence[str] = (),
    accept: Collection[str] = (),
    now: datetime,
) -> Preview:
    """What closing a month would do now; writes nothing and waits for nobody.

    ``failed_checks`` are error checks that failed since the publication: they hold every account.
    Raises MeterhouseError when nothing is published yet, there is no issuer, the month has not
    begun, or the account has no such month.
    """
    publication = lake.publication()
    if publication is None:
        raise MeterhouseError("nothing is published yet; run `meterhouse refresh`")
    facts = read_facts(lake, publication, month, account_id)
    books = read_books(store, account_id)
    accounts = sorted(account for account, day in facts.months if day == month)
    if month > now.date():
        raise MeterhouseError(f"{month:%Y-%m} has not begun yet; close a month that is over")
    if account_id is not None and not accounts:
        raise MeterhouseError(
            f"{account_id} has no usage and no credits up to {month:%Y-%m}; "
            "`meterhouse accounts list` shows all accounts"
        )
    drafts: list[Prepared] = []
    held: list[Hold] = []
    already: list[str] = []
    for account in accounts:
        if _is_closed(books.issued.get(account, ()), month):
            already.append(account)
            continue
        found = prepared(facts, books, account, month, limits, now, account in accept)
        if isinstance(found, Prepared) and not failed_checks:
            drafts.append(found)
            continue
        if failed_checks:
            held.append(Hold(account, "checks", guards.checks_are_green(failed_checks)))
        held += [] if isinstance(found, Prepared) else found
    return Preview(Closed(month, (), tuple(drafts), tuple(held), tuple(already)), facts, books)


def limits_of(settings: Settings) -> Limits:
    """What the settings let the guards allow."""
    return Limits(
        settings.invoice_grace_days, settings.invoice_unrated_credits, settings.invoice_bound
    )


def prepared(
    facts: Facts,
    books: Books,
    account: str,
    month: date,
    limits: Limits,
    now: datetime,
    is_accepted: bool,
) -> Prepared | list[Hold]:
    """The documents of an account's month, or what holds them. Pure."""
    own = facts.months[account, month]
    earlier = books.issued.get(account, ())
    invoiced = _months_invoiced(earlier)
    granted = books.lots.get(account, Decimal(0))
    holds = guards.as_holds(
        account,
        [
            ("over", guards.month_is_over(own, limits, now)),
            ("order", guards.months_follow(month, next_month(invoiced[-1]) if invoiced else None)),
            ("fresh", guards.data_are_whole(own, facts)),
            ("rated", guards.usage_is_rated(own, limits)),
            ("lots", guards.lots_are_settled(own, granted)),
            ("address", _nameless(books, account, month)),
        ],
    )
    taxes = {day: books.tax(account, day) for day in (month, *invoiced)}
    untaxed = [day for day, tax in taxes.items() if tax is None]
    if untaxed and not any(hold.guard == "address" for hold in holds):
        holds.append(
            Hold(
                account,
                "tax",
                f"{books.issuer.country} has no tax rate for {min(untaxed):%Y-%m}; "
                f"add it with `meterhouse invoices tax-rate {books.issuer.country} PERCENT`",
            )
        )
    if holds:
        return holds
    documents: list[ToIssue] = []
    all_lines: list[Line] = []
    lines_before = [line for past in earlier for line in past.lines]
    for currency in _currencies(facts, earlier, own, invoiced):
        lines = lines_owed(facts, books, account, month, currency)
        if currency != own.currency and lines[0].kind == "covered":
            continue
        totals = [
            past.totals.net_minor
            for past in earlier
            if past.currency == currency and past.series == "invoice"
        ]
        strange = guards.total_is_sane(
            totals_of(lines).net_minor, totals[-guards.BOUND_MONTHS :], currency, limits
        )
        if strange and not is_accepted:
            return [Hold(account, "bounds", strange)]
        all_lines += lines
        documents += _documents(facts, books, own, currency, lines)
    lots = overage_lots(all_lines, granted, sum_of_usage(lines_before))
    return Prepared(
        account,
        tuple(documents),
        tuple(
            OverageLot(day, credits, facts.months[account, day].ends_at) for day, credits in lots
        ),
        tuple(closed_balances(facts.balances.get(account, ()), month, invoiced)),
    )


def closed_balances(
    known: Sequence[BookBalance], month: date, invoiced: Sequence[date]
) -> list[BookBalance]:
    """The balances that a close keeps: of its month, and at the first close of those before.

    ``known`` are those of months in which something moved, by month; one holds until the next.
    """
    kept = [] if invoiced else [balance for balance in known if balance.month < month]
    latest = {balance.currency: balance for balance in known if balance.month <= month}
    return [*kept, *(replace(balance, month=month) for balance in latest.values())]


def lines_owed(
    facts: Facts, books: Books, account: str, month: date, currency: str, *, is_alone: bool = False
) -> list[Line]:
    """What an account owes in a currency beyond its documents: of a month and those before it.

    ``is_alone`` leaves out what corrects other months; of a month that was invoiced that is the
    difference to what is known now. Empty where the month's tax is not known.
    """
    issued = books.issued.get(account, ())
    days = {month} if is_alone else {month, *_months_invoiced(issued)}
    known = {
        day: MonthCharges(tax, facts.charges.get((account, day), {}).get(currency, ()))
        for day in sorted(days)
        if (tax := books.tax(account, day)) is not None
    }
    if month not in known:
        return []
    before = [line for past in issued if past.currency == currency for line in past.lines]
    return lines_of(month, known, before, currency)


def sum_of_usage(lines: Iterable[Line]) -> Decimal:
    """Credits of usage that lines charge."""
    return sum((line.credits for line in lines if line.kind in ("overage", "usage")), Decimal(0))


def read_books(store: Store, account_id: str | None = None) -> Books:
    """Everything of the store that a close needs. Raises MeterhouseError without an issuer."""
    issuer = find_issuer(store)
    if issuer is None:
        raise MeterhouseError(
            "nobody issues invoices yet; set it up with `meterhouse invoices issuer --name …`"
        )
    profiles: dict[str, list[Profile]] = defaultdict(list)
    for profile in list_profiles(store, account_id):
        profiles[profile.account_id].append(profile)
    issued: dict[str, list[Issued]] = defaultdict(list)
    chosen = invoice.c.account_id == account_id if account_id is not None else sa.true()
    with store.reading() as connection:  # at once: lots go with their invoices
        for past in read_issued(connection, chosen):
            issued[past.account_id].append(past)
        lots = _invoice_lots(connection)
    return Books(issuer, profiles, list_tax_rates(store), issued, lots)


@contextmanager
def alone(settings: Settings, store: Store) -> Iterator[None]:
    """At most one close, or credit note by hand, at a time; let go when its process dies.

    Raises MeterhouseError while another runs.
    """
    busy = MeterhouseError("another close is running; try again when it is done")
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect() as connection:
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_ADVISORY_KEY))):
                raise busy
            try:
                yield
            finally:
                connection.scalar(sa.select(sa.func.pg_advisory_unlock(_ADVISORY_KEY)))
        return
    folder = Path(settings.home) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "invoices.lock", timeout=0):
            yield
    except Timeout as error:
        raise busy from error


def statement_of(own: MonthFacts, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The movement of an account's credits, from what the invoice before closed with."""
    opening = Decimal(before["closing"]) if before else own.opening
    return {
        "opening": opening,
        "late": own.opening - opening,
        "granted": own.granted,
        "invoiced": own.invoiced,
        "used": own.used,
        "forfeited": own.forfeited,
        "closing": own.closing,
    }


def _documents(
    facts: Facts, books: Books, own: MonthFacts, currency: str, lines: Sequence[Line]
) -> list[ToIssue]:
    """The invoice in a currency and the credit note that goes with it, if any."""
    account, month = own.account_id, own.month
    invoice_lines, note_lines = split(lines)
    before = next(
        (
            past.content["statement"]
            for past in reversed(books.issued.get(account, ()))
            if past.series == "invoice" and "statement" in past.content
        ),
        None,
    )
    content = {
        "issuer": books.issuer,
        "recipient": profile_at(books.profiles[account], month),
        "plan": own.plan,
        "statement": statement_of(own, before),
        "usage": _usage(facts.models.get(account, ()), own, facts, currency),
        "agents": [
            {"agent": row.names[0], "events": row.events, "credits": row.credits}
            for row in facts.agents.get(account, ())
        ],
    }
    reference = f"{account}:{month:%Y-%m}:{currency}"
    documents = [
        ToIssue(
            reference, "invoice", account, month, currency, tuple(invoice_lines), _json(content)
        )
    ]
    if note_lines:
        brief = {name: content[name] for name in ("issuer", "recipient", "plan")}
        documents.append(
            ToIssue(
                f"{reference}:note", "credit_note", account, month, currency, tuple(note_lines),
                _json(brief),
            )
        )  # fmt: skip
    return documents


def _usage(
    rows: Sequence[UsageRow], own: MonthFacts, facts: Facts, currency: str
) -> list[dict[str, Any]]:
    """Usage by category and model; with money where every credit is paid afterwards."""
    charges = facts.charges.get((own.account_id, own.month), {}).get(currency, ())
    price = next((c.unit_price for c in charges if c.kind == "usage"), None)
    used = sum((c.credits for c in charges if c.kind == "usage"), Decimal(0))
    amounts: Sequence[int | None] = [None] * len(rows)
    if price is not None and used == sum(row.credits for row in rows):
        factor = Fraction(price) * 10 ** MINOR_DIGITS[currency]
        amounts = fitted([Fraction(row.credits) * factor for row in rows])
    return [
        {
            "category": row.names[0],
            "model": row.names[1],
            "events": row.events,
            "tokens": row.tokens,
            "credits": row.credits,
            "net_minor": amount,
        }
        for row, amount in zip(rows, amounts, strict=True)
    ]


def _json(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_json(part) for name, part in content.items()}


def _currencies(
    facts: Facts, earlier: Sequence[Issued], own: MonthFacts, invoiced: Sequence[date]
) -> list[str]:
    """The account's own currency first, then those of payments in others."""
    others = {past.currency for past in earlier}
    for day in (own.month, *invoiced):
        others |= facts.charges.get((own.account_id, day), {}).keys()
    return [own.currency, *sorted(others - {own.currency})]


def _months_invoiced(issued: Sequence[Issued]) -> list[date]:
    return sorted({past.month for past in issued if past.series == "invoice"})


def _nameless(books: Books, account: str, month: date) -> str | None:
    if profile_at(books.profiles.get(account, ()), month) is not None:
        return None
    return (
        "nobody knows its address; give it with "
        f"`meterhouse invoices recipient {account} --name … --street …`"
    )


def _is_closed(issued: Sequence[Issued], month: date) -> bool:
    months = _months_invoiced(issued)
    return bool(months) and month <= months[-1]


def _invoice_lots(connection: sa.Connection) -> dict[str, Decimal]:
    """Credits of the lots that took invoiced overage off accounts."""
    query = sa.select(credit_grant.c.account_id, credit_grant.c.credits).where(
        credit_grant.c.reference.startswith("invoice:")
    )
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in connection.execute(query):
        sums[row.account_id] += row.credits
    return sums
