"""Invitations go out by mail, wait, and make a member of who signs in with the address in time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller

from billing import audit, invitations
from billing.access_schema import audit_event, member_invitation
from billing.accounts import add_account
from billing.alerts.delivery import Sender
from billing.alerts.outbox import deliver
from billing.members import list_members, memberships, remove_member, set_member
from billing.store import Store, acting_as, open_store
from tests.oidc_server import free_port
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Settings(home=tmp_path, operations_url=url, app_url="https://meter.example")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        for account_id in ("acme", "tokyo"):
            add_account(opened, account_id, name=f"{account_id.title()} & Sons")
        yield opened


class Inbox:
    """Mails that a real mail server took."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 taken"


def test_an_invitation_is_mailed_and_accepted_by_signing_in(store: Store, settings: Settings):
    with acting_as("anna@acme.example"):
        made = invitations.invite(store, settings, "acme", "Bill@Acme.example", "Billing", now=NOW)
    assert (made.email, made.role, made.recorded_by) == (
        "bill@acme.example",
        "billing",
        "anna@acme.example",
    )
    assert made.expires_at == NOW + timedelta(days=14)
    assert invitations.list_invitations(store, "acme") == [made]
    assert memberships(store, "bill@acme.example") == {}
    inbox, port = Inbox(), free_port()
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        mailing = settings.model_copy(
            update={"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
        )
        with Sender(mailing, store) as send:
            assert deliver(store, send).sent == 1
    finally:
        server.stop()
    ((to, content),) = inbox.mails
    assert to == ["bill@acme.example"]
    assert "https://meter.example" in content and "anna@acme.example" in content
    later = NOW + timedelta(days=13)
    assert [each.account_id for each in invitations.accept(store, "BILL@acme.example", now=later)]
    assert memberships(store, "bill@acme.example") == {"acme": "billing"}
    assert invitations.list_invitations(store, "acme") == []
    assert invitations.accept(store, "bill@acme.example", now=later) == []


def test_an_invitation_runs_out_and_can_be_sent_anew(store: Store, settings: Settings):
    invitations.invite(store, settings, "acme", "late@acme.example", "viewer", now=NOW)
    over = NOW + invitations.HOLDS
    assert invitations.accept(store, "late@acme.example", now=over) == []
    (waiting,) = invitations.list_invitations(store, "acme")
    assert waiting.is_over(over) and not waiting.is_over(over - timedelta(seconds=1))
    invitations.invite(store, settings, "acme", "late@acme.example", "viewer", now=over)
    assert len(invitations.accept(store, "late@acme.example", now=over)) == 1


def test_what_was_withdrawn_or_is_of_another_address_lets_nobody_in(
    store: Store, settings: Settings
):
    invitations.invite(store, settings, "acme", "a@acme.example", "viewer", now=NOW)
    assert invitations.accept(store, "b@acme.example", now=NOW) == []
    invitations.withdraw(store, "acme", "A@acme.example", now=NOW)
    assert invitations.accept(store, "a@acme.example", now=NOW) == []
    with pytest.raises(MeterhouseError, match="not invited"):
        invitations.withdraw(store, "acme", "a@acme.example")


def test_somebody_who_was_removed_needs_a_new_invitation(store: Store, settings: Settings):
    invitations.invite(store, settings, "acme", "a@acme.example", "viewer", now=NOW)
    invitations.accept(store, "a@acme.example", now=NOW)
    remove_member(store, "acme", "a@acme.example")
    assert invitations.accept(store, "a@acme.example", now=NOW) == []
    assert list_members(store, "acme") == []


def test_an_invitation_does_not_change_a_role_that_was_given_since(
    store: Store, settings: Settings
):
    invitations.invite(store, settings, "acme", "a@acme.example", "admin", now=NOW)
    set_member(store, "acme", "a@acme.example", "viewer")
    assert invitations.accept(store, "a@acme.example", now=NOW) == []
    assert memberships(store, "a@acme.example") == {"acme": "viewer"}


def test_bad_invitations_are_clear_errors(store: Store, settings: Settings):
    set_member(store, "acme", "a@acme.example", "viewer")
    for account_id, email, role, said in (
        ("acme", "a@acme.example", "admin", "is a member of acme already"),
        ("acme", "a@", "viewer", "is no e-mail address"),
        ("acme", "", "viewer", "needs an e-mail address"),
        ("acme", "b@acme.example", "owner", "is no role"),
        ("nobody", "b@acme.example", "viewer", "there is no account nobody"),
    ):
        with pytest.raises(MeterhouseError, match=said):
            invitations.invite(store, settings, account_id, email, role)
    assert invitations.list_invitations(store, "acme") == []


def test_the_log_and_the_invitations_cannot_be_changed(store: Store, settings: Settings):
    invitations.invite(store, settings, "acme", "a@acme.example", "viewer")
    audit.record(store, "a@b.example", "budget.save", account_id="acme")
    for table in (audit_event, member_invitation):
        for statement in (sa.update(table).values(recorded_at=NOW), sa.delete(table)):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), store.writing() as wrote:
                wrote.execute(statement)
    assert audit.count_events(store) == 1


def test_the_log_is_filtered_and_a_sign_in_stands_in_it_once(store: Store):
    for _ in range(3):
        audit.record(store, "a@b.example", "sign-in", reference="one", origin="10.0.0.1", now=NOW)
    later = NOW + timedelta(days=1)
    refused = {"outcome": "refused", "account_id": "acme", "now": later}
    audit.record(store, "c@d.example", "budget.save", details={"name": "x" * 999}, **refused)
    audit.record(store, "evil\n\x00", "budget.save", details={"none": None}, origin="-" * 999)
    wanted = audit.AuditFilter
    assert audit.count_events(store) == 3
    assert audit.count_events(store, wanted(actor="a@b.example")) == 1
    assert audit.count_events(store, wanted(action="budget.save", outcomes=["refused"])) == 1
    assert audit.count_events(store, wanted(account_id="acme", since=later)) == 1
    assert audit.count_events(store, wanted(until=later)) == 1
    assert audit.list_actions(store) == ["budget.save", "sign-in"]
    newest, middle = audit.list_events(store, limit=2)
    assert "\n" not in newest.actor and len(newest.origin) == 300 and newest.details == {}
    assert len(middle.details["name"]) == audit.LONGEST_DETAIL
    with pytest.raises(ValueError, match="none of"):
        audit.record(store, "a", "b", outcome="done")
