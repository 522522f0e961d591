"""Marks of incidents in the store, on both databases, and their way into the raw lake."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from billing.accounts import add_account
from billing.incidents import list_marks, mark_days, mark_of
from billing.store import Store, open_store
from orchestration.loading import load_landing
from warehouse.errors import MeterhouseError
from warehouse.lake import reading_head
from warehouse.settings import Settings

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Settings(home=tmp_path, operations_url=url)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as store:
        add_account(store, "acme")
        add_account(store, "other")
        yield store


def test_the_newest_mark_of_a_day_holds(store: Store) -> None:
    marked = mark_days(
        store, "acme", MONDAY, TUESDAY, is_expected=True, reason="load test", actor="ann", now=NOON
    )
    assert (marked.recorded_at, marked.recorded_by) == (NOON, "ann")
    assert mark_of(list_marks(store, "acme"), TUESDAY, TUESDAY) == marked
    back = mark_days(store, "acme", MONDAY, TUESDAY, is_expected=False, reason="it was not ours")
    assert list_marks(store, "acme") == [back, marked]
    assert mark_of(list_marks(store, "acme"), MONDAY, TUESDAY) == back
    assert list_marks(store, "other") == []


@pytest.mark.parametrize(
    ("account", "first", "last", "reason", "said"),
    [
        ("nobody", MONDAY, TUESDAY, "why not", "no account nobody"),
        ("acme", TUESDAY, MONDAY, "why not", "first day first"),
        ("acme", MONDAY, TUESDAY, " ", "reason"),
    ],
)
def test_a_mark_that_cannot_hold_is_refused(
    store: Store, account: str, first: date, last: date, reason: str, said: str
) -> None:
    with pytest.raises(MeterhouseError, match=said):
        mark_days(store, account, first, last, is_expected=True, reason=reason)
    assert list_marks(store, account) == []


def test_marks_flow_into_the_lake(store: Store, settings: Settings) -> None:
    mark_days(store, "acme", MONDAY, TUESDAY, is_expected=True, reason="load test", actor="ann")
    load_landing(settings)
    connection = reading_head(settings, "raw")
    found = connection.execute(
        "select account_id, first_date, last_date, is_expected from raw.main.incident_mark"
    ).fetchall()
    connection.close()
    assert found == [("acme", MONDAY, TUESDAY, True)]
