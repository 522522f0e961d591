"""When a sign-in ends: after some hours, and at once when its person signs out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.sign_in import Visitor, sign_out_reference, visitor_of
from billing import audit
from billing.accounts import add_account
from billing.members import set_member
from billing.store import Store, open_store
from warehouse.settings import Settings

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
LONG = f"{'v' * 60}@{'.'.join(['acme' * 12] * 3)}.example"
"""As long an address as the log's reference cannot hold whole."""


def claims(*, ago: timedelta = timedelta(0), email: str = "vera@acme.example") -> dict[str, Any]:
    return {
        "is_logged_in": True,
        "email": email,
        "email_verified": True,
        "iat": int((NOW - ago).timestamp()),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(Settings(home=tmp_path)) as opened:
        add_account(opened, "acme")
        for email in ("vera@acme.example", "bill@acme.example", LONG):
            set_member(opened, "acme", email, "viewer")
        yield opened


def visit(store: Store, said: dict[str, Any], **settings: Any) -> Visitor:
    return visitor_of(said, Settings(**settings), store, "203.0.113.7", NOW)


def sign_out(store: Store, said: dict[str, Any]) -> None:
    reference = visit(store, said).reference
    assert reference is not None
    audit.record(store, said["email"], "sign-out", reference=sign_out_reference(reference))


def test_a_sign_in_lasts_a_working_day(store: Store) -> None:
    fresh = visit(store, claims(ago=timedelta(hours=12)))
    assert fresh.user is not None and fresh.user.roles == {"acme": "viewer"}
    assert not fresh.has_ended
    late = visit(store, claims(ago=timedelta(hours=12, seconds=1)))
    assert late == Visitor(None, has_ended=True)
    assert visit(store, claims(ago=timedelta(minutes=31)), session_hours=0.5).has_ended


@pytest.mark.parametrize("issued", [None, "", "1795683600", True])
def test_a_sign_in_of_unknown_time_has_ended(store: Store, issued: object) -> None:
    assert visit(store, claims() | {"iat": issued}).has_ended


def test_signing_out_ends_that_sign_in_and_no_other(store: Store) -> None:
    before = claims(ago=timedelta(hours=1))
    sign_out(store, before)
    assert visit(store, before).has_ended
    assert visit(store, claims()).user is not None
    assert visit(store, before | {"email": "bill@acme.example"}).user is not None


def test_an_address_too_long_for_the_log_can_sign_in_again(store: Store) -> None:
    before = claims(ago=timedelta(hours=1), email=LONG)
    sign_out(store, before)
    assert visit(store, before).has_ended
    assert visit(store, claims(email=LONG)).user is not None
