"""The audit log of commands: what changes accounts, money or rules tells it before it does so."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from click.core import ParameterSource

from billing import audit
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

_SECRET = frozenset({"webhook"})
"""Options of which the log tells only that they were given: an address can hold a token."""

_FORM = frozenset({"as_json", "as_json_"})


@contextmanager
def logged(store: Store, action: str, account_id: str | None = None) -> Iterator[None]:
    """Do something of which the audit log has a row beforehand, and another one if it fails.

    The actor is ``cli``, the origin who ran the command and where; details are the command and what
    it was given. ``account_id`` is what was asked for and need not exist.
    """
    about, origin = _given(), f"{current_user()}@{socket.gethostname()}"
    audit.record(store, "cli", action, account_id=account_id, details=about, origin=origin)
    try:
        yield
    except MeterhouseError as error:
        audit.record(
            store,
            "cli",
            action,
            outcome="failed",
            account_id=account_id,
            details=about | {"error": str(error)},
            origin=origin,
        )
        raise


def owner(find: Callable[[], str]) -> str | None:
    """The account of what a command names by number; None where there is no such thing."""
    try:
        return find()
    except MeterhouseError:
        return None


def _given() -> dict[str, str]:
    context = click.get_current_context()
    given = {
        name: "given" if name in _SECRET else _text(value)
        for name, value in context.params.items()
        if name not in _FORM and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    return {"command": context.command_path} | given


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
