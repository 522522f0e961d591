"""What the Credits page shows stands in its address: how much history, which postings, which page.

Pure functions. What cannot be used is left out and named, and the page shows the rest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import urlencode

from app import formats
from app.queries.credits import POSTING_KINDS, LedgerFilter

HISTORY = {"30": "30 days", "90": "90 days", "365": "A year", "all": "All"}
"""How much of the balance's history can be shown."""

DEFAULT_HISTORY = "90"
NO_FILTER = LedgerFilter()


@dataclass(frozen=True)
class CreditsView:
    """What is shown: history of the balance, a page of its ledger, a purchase."""

    history: str = DEFAULT_HISTORY
    ledger: LedgerFilter = NO_FILTER
    page: int = 1
    purchase: str | None = None


def parse(
    address: Mapping[str, Sequence[str]], lots: Collection[int]
) -> tuple[CreditsView, list[str]]:
    """The view of an address, and what of it could not be used; ``lots`` are the account's."""
    remarks: list[str] = []

    def refuse(what: str, value: str) -> None:
        remarks.append(f"There is no {what} “{formats.clip(value, 40)}”.")

    def one(key: str) -> str | None:
        values = address.get(key, ())
        return values[-1] if values else None

    history = one("history") or DEFAULT_HISTORY
    if history not in HISTORY:
        refuse("history", history)
        history = DEFAULT_HISTORY
    kinds = []
    for kind in address.get("kind", ()):
        if kind not in POSTING_KINDS:
            refuse("kind of posting", kind)
        elif kind not in kinds:
            kinds.append(kind)
    lot = None
    if (text := one("lot")) is not None:
        lot = int(text) if text.isdecimal() and len(text) < 19 and int(text) in lots else None
        if lot is None:
            refuse("lot", text)
    days: dict[str, date | None] = {"from": None, "to": None}
    for key in days:
        if (text := one(key)) is not None:
            try:
                days[key] = date.fromisoformat(text)
            except ValueError:
                refuse("day", text)
    first, last = days["from"], days["to"]
    if first and last and first > last:
        first, last = last, first
    page = 1
    if (text := one("page")) is not None:
        if text.isdecimal() and 0 < len(text) < 10 and int(text) > 0:
            page = int(text)
        else:
            refuse("page", text)
    purchase = one("purchase")
    ledger = LedgerFilter(tuple(kinds), lot, first, last)
    return CreditsView(history, ledger, page, purchase[:64] if purchase else None), remarks


def render(view: CreditsView) -> dict[str, list[str]]:
    """The parameters of a view, without the account; what is the default is left out."""
    chosen = view.ledger
    found: dict[str, list[str]] = {}
    if view.history != DEFAULT_HISTORY:
        found["history"] = [view.history]
    if chosen.kinds:
        found["kind"] = list(chosen.kinds)
    if chosen.lot is not None:
        found["lot"] = [str(chosen.lot)]
    if chosen.first is not None:
        found["from"] = [chosen.first.isoformat()]
    if chosen.last is not None:
        found["to"] = [chosen.last.isoformat()]
    if view.page != 1:
        found["page"] = [str(view.page)]
    if view.purchase is not None:
        found["purchase"] = [view.purchase]
    return found


def link(account_id: str, view: CreditsView | None = None) -> str:
    """The page's address, relative to the app."""
    parameters = {"account": [account_id], **render(view or CreditsView())}
    return f"credits?{urlencode(parameters, doseq=True)}"


def filtered(view: CreditsView, ledger: LedgerFilter) -> CreditsView:
    """The same view with another filter, from its first page on."""
    return replace(view, ledger=ledger, page=1, purchase=None)
