"""Saved views of the account that was entered; the store is asked for no other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qs

from app.deeds import DELETE_VIEW, RENAME_VIEW, SAVE_VIEW
from app.gate import AccountReader
from app.usage_address import UsageView, query, render
from billing.saved_views import SavedView, delete_view, list_views, rename_view, save_view

PAGE = "usage"


def views_of(reader: AccountReader) -> list[SavedView]:
    """The account's views of the Usage page, by name."""
    return reader.ask_store(lambda store, account_id: list_views(store, account_id, PAGE))


def save(reader: AccountReader, name: str, view: UsageView) -> SavedView:
    """Save a view under a new name. Raises MeterhouseError as ``billing.saved_views`` does."""
    parameters = parameters_of(view)
    return reader.do(
        SAVE_VIEW,
        lambda store, account_id: save_view(store, account_id, PAGE, name, parameters),
        name=name,
    )


def rename(reader: AccountReader, view_id: int, name: str) -> SavedView:
    """Rename one of the account's views."""
    return reader.do(
        RENAME_VIEW,
        lambda store, account_id: rename_view(store, account_id, view_id, name),
        view=view_id,
        name=name,
    )


def delete(reader: AccountReader, view_id: int) -> bool:
    """Delete one of the account's views; False when it was gone already."""
    return reader.do(
        DELETE_VIEW,
        lambda store, account_id: delete_view(store, account_id, view_id),
        view=view_id,
    )


def parameters_of(view: UsageView) -> str:
    """What is kept of a view: its address without account, page and open event."""
    return query(render(replace(view, page=1, event=None)))


def opened(saved: SavedView) -> Mapping[str, Sequence[str]]:
    """The address of a saved view, to be read as any other."""
    parameters = {key: v for key, v in parse_qs(saved.parameters).items() if key != "account"}
    return {"account": [saved.account_id], **parameters}
