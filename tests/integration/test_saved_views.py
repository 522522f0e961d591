"""Saved views on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing import saved_views
from billing.accounts import add_account
from billing.saved_views import delete_view, list_views, rename_view, save_view
from billing.schema import saved_view
from billing.store import Store, open_store
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with two accounts, on either database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with open_store(Settings(home=tmp_path, operations_url=url)) as opened:
        add_account(opened, "acme")
        add_account(opened, "tokyo")
        yield opened


def names(store: Store, account_id: str = "acme") -> list[str]:
    return [view.name for view in list_views(store, account_id, "usage")]


def test_a_view_comes_back_as_it_was_saved(store: Store) -> None:
    saved = save_view(
        store, "acme", "usage", " Dear ones ", "agent=a&sort=-credits", actor="ann", now=NOW
    )
    assert list_views(store, "acme", "usage") == [saved]
    assert (saved.name, saved.parameters) == ("Dear ones", "agent=a&sort=-credits")
    assert (saved.created_at, saved.created_by) == (NOW, "ann")


def test_views_are_listed_by_name_and_by_page_and_account(store: Store) -> None:
    for name in ("b", "C", "a"):
        save_view(store, "acme", "usage", name, "")
    save_view(store, "acme", "insights", "of another page", "")
    save_view(store, "tokyo", "usage", "of another account", "")
    assert names(store) == ["a", "b", "C"]


def test_a_name_is_taken_once_for_each_account(store: Store) -> None:
    save_view(store, "acme", "usage", "mine", "")
    save_view(store, "tokyo", "usage", "mine", "")
    with pytest.raises(MeterhouseError, match="“mine” already"):
        save_view(store, "acme", "usage", "mine", "q=2")
    assert len(names(store)) == 1


def test_a_view_is_renamed_and_keeps_its_parameters(store: Store) -> None:
    view = save_view(store, "acme", "usage", "old", "q=1")
    save_view(store, "acme", "usage", "taken", "")
    assert rename_view(store, "acme", view.view_id, "new").parameters == "q=1"
    with pytest.raises(MeterhouseError, match="“taken” already"):
        rename_view(store, "acme", view.view_id, "taken")
    assert names(store) == ["new", "taken"]


def test_a_view_of_another_account_can_neither_be_renamed_nor_deleted(store: Store) -> None:
    view = save_view(store, "acme", "usage", "mine", "")
    with pytest.raises(MeterhouseError, match="not there any more"):
        rename_view(store, "tokyo", view.view_id, "stolen")
    assert not delete_view(store, "tokyo", view.view_id)
    assert names(store) == ["mine"]


def test_a_view_is_deleted_once_and_its_id_is_not_given_again(store: Store) -> None:
    view = save_view(store, "acme", "usage", "mine", "")
    assert delete_view(store, "acme", view.view_id)
    assert not delete_view(store, "acme", view.view_id)
    assert save_view(store, "acme", "usage", "mine", "").view_id > view.view_id


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("", "needs a name"), ("  ", "needs a name"), ("x" * 61, "at most 60"), ("a\nb", "line")],
)
def test_a_name_that_cannot_be_one_is_refused(store: Store, name: str, complaint: str) -> None:
    with pytest.raises(MeterhouseError, match=complaint):
        save_view(store, "acme", "usage", name, "")
    assert names(store) == []


def test_a_view_needs_an_account_room_and_an_address_of_bearable_length(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MeterhouseError, match="no account nobody"):
        save_view(store, "nobody", "usage", "x", "")
    with pytest.raises(MeterhouseError, match="choose fewer filters"):
        save_view(store, "acme", "usage", "x", "a" * 8_001)
    monkeypatch.setattr(saved_views, "MOST_VIEWS", 1)
    save_view(store, "acme", "usage", "x", "")
    with pytest.raises(MeterhouseError, match="delete one first"):
        save_view(store, "acme", "usage", "y", "")


def test_a_hostile_name_is_kept_as_text(store: Store) -> None:
    name = "'; drop table saved_view; -- <b>"
    save_view(store, "acme", "usage", name, "q=" + name)
    with store.reading() as connection:
        assert connection.scalar(sa.select(saved_view.c.name)) == name
