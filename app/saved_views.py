"""Saved views of the account that was entered; the store is asked for no other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qs

from app.gate import AccountReader
from app.usage_address import UsageView, query, render
from billing.saved_views import SavedView, delete_view, list_views, rename_view, save_view
from billing.store import Store

PAGE = "usage"


def views_of(store: Store, reader: AccountReader) -> list[SavedView]:
    """The account's views of the Usage page, by name."""
    return list_views(store, reader.account.account_id, PAGE)


def save(store: Store, reader: AccountReader, name: str, view: UsageView) -> SavedView:
    """Save a view under a new name. Raises MeterhouseError as ``billing.saved_views`` does."""
    return save_view(store, reader.account.account_id, PAGE, name, parameters_of(view))


def rename(store: Store, reader: AccountReader, view_id: int, name: str) -> SavedView:
    """Rename one of the account's views."""
    return rename_view(store, reader.account.account_id, view_id, name)


def delete(store: Store, reader: AccountReader, view_id: int) -> bool:
    """Delete one of the account's views; False when it was gone already."""
    return delete_view(store, reader.account.account_id, view_id)


def parameters_of(view: UsageView) -> str:
    """What is kept of a view: its address without account, page and open event."""
    return query(render(replace(view, page=1, event=None)))


def opened(saved: SavedView) -> Mapping[str, Sequence[str]]:
    """The address of a saved view, to be read as any other."""
    parameters = {key: v for key, v in parse_qs(saved.parameters).items() if key != "account"}
    return {"account": [saved.account_id], **parameters}
