"""Accounts in the operational store: adding, changing, listing, declaring many at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

import sqlalchemy as sa

from billing import validation
from billing.schema import account, account_term
from billing.store import Store, current_user
from billing.terms import (
    CONTACT_FIELDS,
    DATED_FIELDS,
    Term,
    changed_terms,
    default_start,
    missing_price,
    split_at,
    term_from,
)
from warehouse.errors import MeterhouseError

PRICED_FIELDS = {"plan", "currency", "overage_price"}
"""Fields whose change may leave overage without a price."""

DEFAULT_ZONE, DEFAULT_CURRENCY, DEFAULT_PLAN = "UTC", "USD", "prepaid"


@dataclass(frozen=True)
class Account:
    """An account as of a moment: its current term and those already recorded for later months."""

    account_id: str
    created_at: datetime
    created_by: str
    current: Term
    upcoming: tuple[Term, ...]


@dataclass(frozen=True)
class Declared:
    """What declaring ids did: accounts created, ids that had one, ids refused with the reason."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    refused: Mapping[str, str]


def add_account(
    store: Store,
    account_id: str,
    *,
    name: str | None = None,
    time_zone: str = DEFAULT_ZONE,
    currency: str = DEFAULT_CURRENCY,
    email: str | None = None,
    plan: str = DEFAULT_PLAN,
    overage_price: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Account:
    """Add an account whose first term holds from the beginning; ``name`` defaults to its id.

    Raises MeterhouseError for a field that cannot be used and for an id that is taken, also
    when another process took it a moment before.
    """
    at, who = now or datetime.now(UTC), actor or current_user()
    account_id = validation.account_id(account_id)
    term = Term(
        effective_from=validation.BEGINNING,
        name=validation.account_name(account_id if name is None else name),
        time_zone=validation.time_zone(time_zone),
        currency=validation.currency(currency),
        email=validation.email(email),
        plan=validation.plan(plan),
        overage_price=validation.overage_price(overage_price),
    )
    _refuse_without_price(term)
    with store.writing() as connection:
        if connection.scalar(sa.select(account.c.id).where(account.c.id == account_id)):
            raise MeterhouseError(
                f"the account {account_id} exists already; change it with "
                f"`meterhouse accounts set {account_id}`"
            )
        _insert_accounts(connection, [account_id], at, who)
        _insert_terms(connection, [(account_id, term)], at, who)
    return get_account(store, account_id, now=at)


def set_account(
    store: Store,
    account_id: str,
    changes: Mapping[str, str | None],
    *,
    effective_from: date | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> list[Term]:
    """Record ``changes`` of an account and return the new terms; none when all is so already.

    ``changes`` maps name, email, time_zone, currency, plan or overage_price to a new value as text
    (an e-mail or a price may be None). They hold from ``effective_from``, the first day of a
    month; without it name and e-mail change from the current month on, the others from the next,
    both in the account's days. Raises MeterhouseError for an unknown account, a value that
    cannot be used, or a plan that would invoice overage without a price in its currency.
    """
    at, who = now or datetime.now(UTC), actor or current_user()
    if not changes:
        raise MeterhouseError(
            f"nothing to change for {account_id}; give at least one of "
            f"{', '.join(CONTACT_FIELDS + DATED_FIELDS)}"
        )
    valid = {field: _valid(field, value) for field, value in changes.items()}
    start = validation.month_start(effective_from) if effective_from else None
    with store.writing() as connection:
        terms = _terms(connection, account_id).get(account_id)
        if not terms:
            raise _unknown(account_id)
        current, _ = split_at(terms, at)
        by_start: dict[date, dict[str, str | Decimal | None]] = {}
        for field, value in valid.items():
            month = start or default_start(field, current, at)
            by_start.setdefault(month, {})[field] = value
        recorded = []
        for month in sorted(by_start):
            new = changed_terms(terms, by_start[month], month)
            if by_start[month].keys() & PRICED_FIELDS:
                for term in new:
                    _refuse_without_price(term, term_from(terms, term.effective_from))
            ids = _insert_terms(connection, [(account_id, term) for term in new], at, who)
            new = [replace(term, term_id=term_id) for term, term_id in zip(new, ids, strict=True)]
            terms = [*terms, *new]
            recorded += new
    return recorded


def list_accounts(store: Store, *, now: datetime | None = None) -> list[Account]:
    """All accounts as of ``now``, by id."""
    return _accounts(store, None, now or datetime.now(UTC))


def get_account(store: Store, account_id: str, *, now: datetime | None = None) -> Account:
    """One account as of ``now``. Raises MeterhouseError when nobody declared it."""
    found = _accounts(store, account_id, now or datetime.now(UTC))
    if not found:
        raise _unknown(account_id)
    return found[0]


def declared_account_ids(store: Store) -> set[str]:
    """The ids of all accounts."""
    with store.reading() as connection:
        return set(connection.scalars(sa.select(account.c.id)))


def declare_accounts(
    store: Store,
    account_ids: Iterable[str],
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> Declared:
    """Create those accounts that do not exist yet, with their id as name and default values.

    Defaults are UTC, USD and prepaid. An id that cannot be one is refused, the others are
    created all the same. Running it again changes nothing.
    """
    at, who = now or datetime.now(UTC), actor or current_user()
    wanted: list[str] = []
    refused: dict[str, str] = {}
    for text in sorted(set(account_ids)):
        try:
            wanted.append(validation.account_id(text))
        except MeterhouseError as error:
            refused[text] = str(error)
    with store.writing() as connection:
        known: set[str] = set(connection.scalars(sa.select(account.c.id)))
        created = [text for text in wanted if text not in known]
        terms = [
            Term(
                effective_from=validation.BEGINNING,
                name=text,
                time_zone=DEFAULT_ZONE,
                currency=DEFAULT_CURRENCY,
                email=None,
                plan=DEFAULT_PLAN,
            )
            for text in created
        ]
        _insert_accounts(connection, created, at, who)
        _insert_terms(connection, list(zip(created, terms, strict=True)), at, who)
    existing = tuple(text for text in wanted if text in known)
    return Declared(tuple(created), existing, refused)


@dataclass(frozen=True)
class StoreAccounts:
    """The store's accounts as the loader asks for them."""

    store: Store

    def declared(self) -> set[str]:
        """Ids of all declared accounts."""
        return declared_account_ids(self.store)

    def declare(self, account_ids: Iterable[str]) -> tuple[str, ...]:
        """Declare accounts with default values; those of ``account_ids`` that now exist.

        Ids that cannot be an account's are missing from the answer.
        """
        done = declare_accounts(self.store, account_ids)
        return tuple(sorted(done.created + done.existing))


def _refuse_without_price(term: Term, before: Term | None = None) -> None:
    why = missing_price(term, before)
    if why:
        raise MeterhouseError(f"{why}; give what a credit costs, such as --overage-price 0.012")


def _valid(field: str, value: str | None) -> str | Decimal | None:
    if field == "email":
        return validation.email(value)
    if field == "overage_price":
        return validation.overage_price(value)
    checks = {
        "name": validation.account_name,
        "time_zone": validation.time_zone,
        "currency": validation.currency,
        "plan": validation.plan,
    }
    if field not in checks or value is None:
        raise MeterhouseError(f"an account has no {field} that could be set to {value!r}")
    return checks[field](value)


def _accounts(store: Store, account_id: str | None, at: datetime) -> list[Account]:
    query = sa.select(account).order_by(account.c.id)
    if account_id is not None:
        query = query.where(account.c.id == account_id)
    with store.reading() as connection:
        rows = connection.execute(query).all()
        terms = _terms(connection, account_id)
    found = []
    for row in rows:
        current, upcoming = split_at(terms[row.id], at)
        found.append(Account(row.id, row.created_at, row.created_by, current, tuple(upcoming)))
    return found


def _terms(connection: sa.Connection, account_id: str | None) -> dict[str, list[Term]]:
    query = sa.select(account_term).order_by(account_term.c.term_id)
    if account_id is not None:
        query = query.where(account_term.c.account_id == account_id)
    terms: dict[str, list[Term]] = {}
    for row in connection.execute(query):
        terms.setdefault(row.account_id, []).append(
            Term(
                effective_from=row.effective_from,
                name=row.name,
                time_zone=row.time_zone,
                currency=row.currency,
                email=row.email,
                plan=row.plan,
                overage_price=row.overage_price,
                term_id=row.term_id,
            )
        )
    return terms


def _insert_accounts(
    connection: sa.Connection, account_ids: list[str], at: datetime, who: str
) -> None:
    if account_ids:
        connection.execute(
            sa.insert(account),
            [{"id": text, "created_at": at, "created_by": who} for text in account_ids],
        )


def _insert_terms(
    connection: sa.Connection, terms: list[tuple[str, Term]], at: datetime, who: str
) -> list[int]:
    """Insert terms and return their ids, in the same order."""
    if not terms:
        return []
    statement = sa.insert(account_term).returning(
        account_term.c.term_id, sort_by_parameter_order=True
    )
    rows = [
        {
            "account_id": account_id,
            "effective_from": term.effective_from,
            "name": term.name,
            "time_zone": term.time_zone,
            "currency": term.currency,
            "email": term.email,
            "plan": term.plan,
            "overage_price": term.overage_price,
            "recorded_at": at,
            "recorded_by": who,
        }
        for account_id, term in terms
    ]
    return list(connection.scalars(statement, rows))


def _unknown(account_id: str) -> MeterhouseError:
    return MeterhouseError(
        f"there is no account {account_id}; `meterhouse accounts list` shows all, "
        f"`meterhouse accounts add` adds one"
    )
