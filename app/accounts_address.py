"""What the page Accounts shows stands in its address: the search, a flag, the order, a page.

Pure functions. What cannot be used is left out and named, and the page shows the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from app import formats
from app.queries.accounts import FLAGS, SORTS

DEFAULT_SORT = "used"
LONGEST_TEXT = 100


@dataclass(frozen=True)
class AccountsView:
    """Accounts whose name or id holds a text, with a flag, in an order, a page of them."""

    text: str = ""
    flag: str | None = None
    sort: str = DEFAULT_SORT
    is_descending: bool = True
    page: int = 1


def parse(address: Mapping[str, Sequence[str]]) -> tuple[AccountsView, list[str]]:
    """The view of an address, and what of it could not be used."""
    remarks: list[str] = []

    def one(key: str, allowed: Sequence[str], what: str) -> str | None:
        text = (address.get(key) or (None,))[-1]
        if text is None or text in allowed:
            return text
        remarks.append(f"There is no {what} “{formats.clip(text, 40)}”.")
        return None

    flag = one("flag", list(FLAGS), "flag")
    sort = one("sort", list(SORTS), "column") or DEFAULT_SORT
    order = one("order", ("asc", "desc"), "order")
    page = (address.get("page") or ("1",))[-1]
    if not (page.isascii() and page.isdecimal() and len(page) < 8 and int(page) > 0):
        remarks.append(f"There is no page “{formats.clip(page, 40)}”.")
        page = "1"
    text = clean((address.get("q") or ("",))[-1])
    return AccountsView(text, flag, sort, _descends(sort, order), int(page)), remarks


def render(view: AccountsView) -> dict[str, list[str]]:
    """The parameters of a view; what is the default is left out."""
    found: dict[str, list[str]] = {}
    if view.text:
        found["q"] = [view.text]
    if view.flag is not None:
        found["flag"] = [view.flag]
    if view.sort != DEFAULT_SORT:
        found["sort"] = [view.sort]
    if view.is_descending != _descends(view.sort, None):
        found["order"] = ["desc" if view.is_descending else "asc"]
    if view.page != 1:
        found["page"] = [str(view.page)]
    return found


def link(view: AccountsView) -> str:
    """The page's address, relative to the app."""
    parameters = urlencode(render(view), doseq=True)
    return f"accounts?{parameters}" if parameters else "accounts"


def sorted_by(view: AccountsView, sort: str) -> AccountsView:
    """The view in another order; the other way round where it is in this one."""
    descends = not view.is_descending if view.sort == sort else _descends(sort, None)
    return replace(view, sort=sort, is_descending=descends, page=1)


def clean(text: str) -> str:
    """A text to look for: printable, without spaces around it, not too long."""
    printable = "".join(letter for letter in text if letter.isprintable())
    return printable.strip()[:LONGEST_TEXT]


def _descends(sort: str, order: str | None) -> bool:
    """Whether an order goes down: names go up, figures down unless the address says otherwise."""
    return sort != "name" if order is None else order == "desc"
