"""Who may see an account, and what they may do there: members and their roles, append-only.

Of one account and e-mail address the row recorded last counts; one without a role removes the
person. Addresses are compared in lower case: people do not tell them apart by their letters' size.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

import sqlalchemy as sa

from billing import validation
from billing.schema import account, member
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

ROLES = ("viewer", "billing", "admin")
"""From the least to the most: looks, also buys and sees invoices, also manages members."""


@dataclass(frozen=True)
class Member:
    """A person of an account, as recorded last."""

    account_id: str
    email: str
    role: str
    recorded_at: datetime
    recorded_by: str


def set_member(
    store: Store,
    account_id: str,
    email: str,
    role: str,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> Member:
    """Add a person to an account, or give them another role; nothing is recorded when it is so.

    Raises MeterhouseError for an unknown account, a role that is none of ROLES, and an address
    that cannot be one.
    """
    address, wanted = address_of(email), role_of(role)
    with store.writing() as connection:
        _require_account(connection, account_id)
        current = current_members(connection, account_id).get(address)
        if current and current.role == wanted:
            return current
        row = record_role(connection, account_id, address, wanted, actor, now)
        return Member(account_id, address, wanted, row.recorded_at, row.recorded_by)


def remove_member(
    store: Store,
    account_id: str,
    email: str,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> None:
    """Remove a person from an account. Raises MeterhouseError when they are no member of it."""
    address = address_of(email)
    with store.writing() as connection:
        _require_account(connection, account_id)
        if address not in current_members(connection, account_id):
            raise MeterhouseError(f"{address} is no member of {account_id}")
        record_role(connection, account_id, address, None, actor, now)


def list_members(store: Store, account_id: str) -> list[Member]:
    """The members of an account as of now, by address. Raises MeterhouseError for no account."""
    with store.reading() as connection:
        _require_account(connection, account_id)
        found = current_members(connection, account_id)
    return [found[address] for address in sorted(found)]


def memberships(store: Store, email: str) -> dict[str, str]:
    """The role of a person in each account that they are a member of."""
    address = address_of(email)
    query = sa.select(member).where(member.c.email == address).order_by(member.c.member_id)
    with store.reading() as connection:
        latest = {row.account_id: row.role for row in connection.execute(query)}
    return {account_id: role for account_id, role in sorted(latest.items()) if role}


def address_of(email: str) -> str:
    """An address as members are known by it. Raises MeterhouseError for what is none."""
    address = validation.email(email)
    if address is None:
        raise MeterhouseError("a member needs an e-mail address")
    return address.lower()


def role_of(text: str) -> str:
    """A role by its name. Raises MeterhouseError for what is none."""
    role = text.strip().lower()
    if role not in ROLES:
        similar = get_close_matches(role, ROLES, n=1)
        meant = f" (did you mean {similar[0]}?)" if similar else ""
        raise MeterhouseError(f"{text!a} is no role{meant}; choose one of {', '.join(ROLES)}")
    return role


def _require_account(connection: sa.Connection, account_id: str) -> None:
    if not connection.scalar(sa.select(account.c.id).where(account.c.id == account_id)):
        raise MeterhouseError(
            f"there is no account {account_id}; `meterhouse accounts list` shows all"
        )


def current_members(connection: sa.Connection, account_id: str) -> dict[str, Member]:
    """The members of an account by address, in a transaction that is open."""
    query = sa.select(member).where(member.c.account_id == account_id).order_by(member.c.member_id)
    return _latest(connection.execute(query))


def _latest(rows: Iterable[sa.Row[tuple[object, ...]]]) -> dict[str, Member]:
    found: dict[str, Member] = {}
    for row in rows:
        found.pop(row.email, None)
        if row.role:
            found[row.email] = Member(
                row.account_id, row.email, row.role, row.recorded_at, row.recorded_by
            )
    return found


def record_role(
    connection: sa.Connection,
    account_id: str,
    email: str,
    role: str | None,
    actor: str | None,
    now: datetime | None,
) -> sa.Row[tuple[object, ...]]:
    """Record a role, or its end, in a transaction that is open."""
    return connection.execute(
        sa.insert(member).returning(member),
        {
            "account_id": account_id,
            "email": email,
            "role": role,
            "recorded_at": now or datetime.now(UTC),
            "recorded_by": actor or current_user(),
        },
    ).one()
