"""Saved views: what was chosen on a page of the app, under a name, per account.

A view holds the parameters of the page's address and nothing else, no SQL and no figures, so
that opening it reads them as any other address is read: what has become of them is checked anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from billing import validation
from billing.schema import account, saved_view
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

MOST_VIEWS = 200
"""Views that an account can have on a page."""

LONGEST_PARAMETERS = 8_000
"""Characters of an address that still work in every browser and mail program."""


@dataclass(frozen=True)
class SavedView:
    """A named view; ``parameters`` is the query of an address without account and place."""

    view_id: int
    account_id: str
    page: str
    name: str
    parameters: str
    created_at: datetime
    created_by: str


def list_views(store: Store, account_id: str, page: str) -> list[SavedView]:
    """The views of an account on a page, by name."""
    query = (
        sa.select(saved_view)
        .where(saved_view.c.account_id == account_id, saved_view.c.page == page)
        .order_by(sa.func.lower(saved_view.c.name), saved_view.c.view_id)
    )
    with store.reading() as connection:
        return [_view(row) for row in connection.execute(query)]


def save_view(
    store: Store,
    account_id: str,
    page: str,
    name: str,
    parameters: str,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> SavedView:
    """Save ``parameters`` under a new name.

    Raises MeterhouseError for a name that is taken or cannot be one, for an account that is not
    declared, and where there are too many views or the parameters are too long.
    """
    name = validation.view_name(name)
    if len(parameters) > LONGEST_PARAMETERS:
        raise MeterhouseError(
            f"this view has {len(parameters):,} characters in its address, more than the "
            f"{LONGEST_PARAMETERS:,} that can be kept; choose fewer filters"
        )
    with _naming(store, name) as connection:
        if not connection.scalar(sa.select(account.c.id).where(account.c.id == account_id)):
            raise MeterhouseError(f"there is no account {account_id} to save a view for")
        count = connection.scalar(
            sa.select(sa.func.count()).where(
                saved_view.c.account_id == account_id, saved_view.c.page == page
            )
        )
        if count is not None and count >= MOST_VIEWS:
            raise MeterhouseError(
                f"the account has {MOST_VIEWS} saved views already; delete one first"
            )
        row = connection.execute(
            sa.insert(saved_view).returning(saved_view),
            {
                "account_id": account_id,
                "page": page,
                "name": name,
                "parameters": parameters,
                "created_at": now or datetime.now(UTC),
                "created_by": actor or current_user(),
            },
        ).one()
        return _view(row)


def rename_view(store: Store, account_id: str, view_id: int, name: str) -> SavedView:
    """Give a view of this account another name.

    Raises MeterhouseError for a name that is taken or cannot be one, and where the view is gone
    or belongs to another account.
    """
    name = validation.view_name(name)
    with _naming(store, name) as connection:
        row = connection.execute(
            sa.update(saved_view)
            .where(saved_view.c.account_id == account_id, saved_view.c.view_id == view_id)
            .values(name=name)
            .returning(saved_view)
        ).one_or_none()
        if row is None:
            raise MeterhouseError("this view is not there any more")
        return _view(row)


def delete_view(store: Store, account_id: str, view_id: int) -> bool:
    """Delete a view of this account; False when it was gone already."""
    with store.writing() as connection:
        row = connection.execute(
            sa.delete(saved_view)
            .where(saved_view.c.account_id == account_id, saved_view.c.view_id == view_id)
            .returning(saved_view.c.view_id)
        ).one_or_none()
    return row is not None


@contextmanager
def _naming(store: Store, name: str) -> Iterator[sa.Connection]:
    """A transaction in which a name that is taken is an error that says so."""
    try:
        with store.writing() as connection:
            yield connection
    except sa.exc.IntegrityError as error:
        raise MeterhouseError(f"there is a view “{name}” already; choose another name") from error


def _view(row: sa.Row[tuple[object, ...]]) -> SavedView:
    return SavedView(**row._mapping)
