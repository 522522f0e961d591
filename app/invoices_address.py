"""What the pages Invoices and Closing show stands in their addresses.

Pure functions. What cannot be used is left out and named, and the page shows the rest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import urlencode

from app import formats

STATES = {"issued": "Issued", "ready": "Ready", "held": "Held"}
"""How a month of an account can stand at its closing."""


@dataclass(frozen=True)
class InvoicesView:
    """Documents of a year, or one with a line that is explained, and a page of what explains it."""

    year: int | None = None
    number: str | None = None
    line: int | None = None
    page: int = 1


@dataclass(frozen=True)
class ClosingView:
    """The month to close, the state to show, and a page of accounts."""

    month: date
    state: str | None = None
    page: int = 1


def parse_invoices(
    address: Mapping[str, Sequence[str]],
    years: Collection[int],
    lines: Mapping[str, Collection[int]],
) -> tuple[InvoicesView, list[str]]:
    """The view of an address, and what of it could not be used.

    ``years`` and ``lines`` (by number) are those of the account's documents.
    """
    remarks: list[str] = []
    year = number = line = None
    if (text := _one(address, "year")) is not None:
        year = _whole(text) if _whole(text) in years else None
        if year is None:
            remarks.append(f"There are no invoices of the year “{formats.clip(text, 40)}”.")
    if (text := _one(address, "invoice")) is not None:
        number = text if text in lines else None
        if number is None:
            remarks.append(f"There is no invoice “{formats.clip(text, 40)}” of this account.")
    if number is not None and (text := _one(address, "line")) is not None:
        line = _whole(text) if _whole(text) in lines[number] else None
        if line is None:
            remarks.append(f"{number} has no line “{formats.clip(text, 40)}”.")
    page, refused = _page(address) if line is not None else (1, [])
    return InvoicesView(year, number, line, page), remarks + refused


def render_invoices(view: InvoicesView) -> dict[str, list[str]]:
    """The parameters of a view, without the account; what is the default is left out."""
    found: dict[str, list[str]] = {}
    if view.year is not None:
        found["year"] = [str(view.year)]
    if view.number is not None:
        found["invoice"] = [view.number]
        if view.line is not None:
            found["line"] = [str(view.line)]
            if view.page != 1:
                found["page"] = [str(view.page)]
    return found


def invoices_link(account_id: str, view: InvoicesView | None = None) -> str:
    """The page's address, relative to the app."""
    parameters = {"account": [account_id], **render_invoices(view or InvoicesView())}
    return f"invoices?{urlencode(parameters, doseq=True)}"


def parse_closing(
    address: Mapping[str, Sequence[str]], months: Sequence[date], default: date
) -> tuple[ClosingView, list[str]]:
    """The view of an address, and what of it could not be used; ``months`` can be chosen."""
    remarks: list[str] = []
    month, state = default, None
    if (text := _one(address, "month")) is not None:
        found = next((day for day in months if f"{day:%Y-%m}" == text), None)
        if found is None:
            remarks.append(f"There is no month “{formats.clip(text, 40)}” to close.")
        month = found or default
    if (text := _one(address, "state")) is not None:
        state = text if text in STATES else None
        if state is None:
            remarks.append(f"There is no state “{formats.clip(text, 40)}”.")
    page, refused = _page(address)
    return ClosingView(month, state, page), remarks + refused


def render_closing(view: ClosingView) -> dict[str, list[str]]:
    """The parameters of a view; the first page and all states are left out."""
    found = {"month": [f"{view.month:%Y-%m}"]}
    if view.state is not None:
        found["state"] = [view.state]
    if view.page != 1:
        found["page"] = [str(view.page)]
    return found


def closing_link(view: ClosingView) -> str:
    """The page's address, relative to the app."""
    return f"closing?{urlencode(render_closing(view), doseq=True)}"


def whole_list(view: InvoicesView) -> InvoicesView:
    """The list that a document was opened from."""
    return replace(view, number=None, line=None, page=1)


def _one(address: Mapping[str, Sequence[str]], key: str) -> str | None:
    values = address.get(key, ())
    return values[-1] if values else None


def _whole(text: str) -> int | None:
    """The number that a text is in the digits of an address, from 1."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 10 and text == text.lstrip("0")
    return int(text) if is_number and text else None


def _page(address: Mapping[str, Sequence[str]]) -> tuple[int, list[str]]:
    text = _one(address, "page")
    if text is None:
        return 1, []
    page = _whole(text)
    return (page, []) if page else (1, [f"There is no page “{formats.clip(text, 40)}”."])
