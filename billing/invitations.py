"""Invitations of members: a mail to an address, and membership once somebody signs in with it.

The mail holds no secret. Who signs in with the address, verified by the provider, is let in: a mail
that is passed on lets nobody else in. Of one account and address the newest row counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billing.access_schema import member_invitation
from billing.accounts import get_account
from billing.alerts.letters import Letter, as_html, as_text, one_line
from billing.alerts.outbox import Message, domain_of, put, refuse_flood
from billing.members import address_of, current_members, list_members, record_role, role_of
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

HOLDS = timedelta(days=14)
"""How long an invitation can be accepted."""

MOST_PENDING = 200
"""Invitations that an account may have open."""


@dataclass(frozen=True)
class Invitation:
    """An invitation that can still be accepted, until ``expires_at``, or has run out by then."""

    account_id: str
    email: str
    role: str
    expires_at: datetime
    recorded_at: datetime
    recorded_by: str

    def is_over(self, now: datetime) -> bool:
        """Whether it has run out."""
        return now >= self.expires_at


def invite(
    store: Store,
    settings: Settings,
    account_id: str,
    email: str,
    role: str,
    *,
    now: datetime | None = None,
) -> Invitation:
    """Invite an address to an account, and put the mail into the outbox; again sends it anew.

    Raises MeterhouseError for an unknown account, for what is no address or role, for a member of
    the account, and where too many invitations are open or were sent.
    """
    address, wanted, at = address_of(email), role_of(role), now or datetime.now(UTC)
    if any(member.email == address for member in list_members(store, account_id)):
        raise MeterhouseError(f"{address} is a member of {account_id} already; change the role")
    name = get_account(store, account_id, now=at).current.name
    actor = current_user()
    with store.writing() as connection:
        open_now = _newest(connection, member_invitation.c.account_id == account_id)
        if sum(not each.is_over(at) for each in open_now) >= MOST_PENDING:
            raise MeterhouseError(
                f"{account_id} has {MOST_PENDING} open invitations; withdraw some first"
            )
        refuse_flood(connection, account_id, at)
        row = connection.execute(
            sa.insert(member_invitation).returning(member_invitation),
            {
                "account_id": account_id,
                "email": address,
                "kind": "invited",
                "role": wanted,
                "expires_at": at + HOLDS,
                "recorded_at": at,
                "recorded_by": actor,
            },
        ).one()
        made = _invitation(row)
        message = letter_of(made, name, settings)
        reference = f"invitation|{row.invitation_id}"
        put(
            connection,
            Message(
                reference,
                account_id,
                "mail",
                address,
                one_line(message.title),
                as_text(message),
                as_html(message),
            ),
            None,
            domain_of([settings.mail_from]),
            at,
        )
    return made


def withdraw(store: Store, account_id: str, email: str, *, now: datetime | None = None) -> None:
    """Take an invitation back. Raises MeterhouseError where there is none."""
    address = address_of(email)
    with store.writing() as connection:
        found = _newest(connection, member_invitation.c.account_id == account_id)
        if address not in {each.email for each in found}:
            raise MeterhouseError(f"{address} is not invited to {account_id}")
        _end(connection, account_id, address, "withdrawn", current_user(), now)


def list_invitations(store: Store, account_id: str) -> list[Invitation]:
    """The account's invitations that were neither accepted nor withdrawn, by address.

    Those that have run out are among them, so that somebody can send them anew.
    """
    with store.reading() as connection:
        return _newest(connection, member_invitation.c.account_id == account_id)


def accept(store: Store, email: str, *, now: datetime | None = None) -> list[Invitation]:
    """Make who signed in with this verified address a member of what it is invited to.

    Returns what was accepted. Invitations that have run out are left as they are, and a role that
    the person has already is kept.
    """
    address, at = address_of(email), now or datetime.now(UTC)
    with store.reading() as connection:
        waiting = [
            each
            for each in _newest(connection, member_invitation.c.email == address)
            if not each.is_over(at)
        ]
    accepted = []
    for each in waiting:
        with store.writing() as connection:
            if each not in _newest(connection, member_invitation.c.email == address):
                continue  # another session was faster
            _end(connection, each.account_id, address, "accepted", address, at)
            if address not in current_members(connection, each.account_id):
                by = each.recorded_by
                record_role(connection, each.account_id, address, each.role, by, at)
                accepted.append(each)
    return accepted


def letter_of(invitation: Invitation, account_name: str, settings: Settings) -> Letter:
    """What the mail says."""
    return Letter(
        title=f"You are invited to {one_line(account_name)} at {settings.platform_name}",
        tone="plain",
        figures=[
            ("Account", one_line(account_name)),
            ("Role", invitation.role),
            ("Invited by", one_line(invitation.recorded_by)),
            ("Until", f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"),
        ],
        link=settings.public_url,
        link_text="Sign in",
        foot=f"Sign in with {invitation.email} to accept. If you do not know what this is about, "
        f"do nothing, or write to {settings.support_email}.",
    )


def _newest(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Invitation]:
    query = sa.select(member_invitation).where(where).order_by(member_invitation.c.invitation_id)
    return _open(connection.execute(query))


def _open(rows: Iterable[sa.Row[Any]]) -> list[Invitation]:
    newest = {(row.account_id, row.email): row for row in rows}
    return [_invitation(newest[key]) for key in sorted(newest) if newest[key].kind == "invited"]


def _invitation(row: sa.Row[Any]) -> Invitation:
    return Invitation(**{name: getattr(row, name) for name in Invitation.__dataclass_fields__})


def _end(
    connection: sa.Connection,
    account_id: str,
    email: str,
    kind: str,
    actor: str,
    now: datetime | None,
) -> None:
    connection.execute(
        sa.insert(member_invitation),
        {
            "account_id": account_id,
            "email": email,
            "kind": kind,
            "recorded_at": now or datetime.now(UTC),
            "recorded_by": actor,
        },
    )
