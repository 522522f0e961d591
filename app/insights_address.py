"""What the Insights page shows stands in its address: by which parts the projection is
listed, and which calls of an advice.

Pure functions. What cannot be used is left out and named, and the page shows the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app import formats

PARTS = {"category": "Category", "model": "Model", "agent": "Agent"}
"""The parts of an account that are projected each."""

DEFAULT_PART = "category"


@dataclass(frozen=True)
class InsightsView:
    """What is shown: the parts that the projection lists, and a page of the calls of an advice."""

    part: str = DEFAULT_PART
    advice: str | None = None
    page: int = 1


def parse(address: Mapping[str, Sequence[str]]) -> tuple[InsightsView, list[str]]:
    """The view of an address, and what of it could not be used."""
    remarks: list[str] = []
    part = (address.get("part") or (DEFAULT_PART,))[-1]
    if part not in PARTS:
        remarks.append(f"There is no part “{formats.clip(part, 40)}”.")
        part = DEFAULT_PART
    advice = (address.get("advice") or (None,))[-1]
    page = 1
    if advice is not None and (text := (address.get("page") or ("1",))[-1]) != "1":
        if text.isdecimal() and text.isascii() and len(text) < 8 and int(text) > 0:
            page = int(text)
        else:
            remarks.append(f"There is no page “{formats.clip(text, 40)}”.")
    return InsightsView(part, advice[:32] if advice else None, page), remarks


def render(view: InsightsView) -> dict[str, list[str]]:
    """The parameters of a view, without the account; what is the default is left out."""
    found = {} if view.part == DEFAULT_PART else {"part": [view.part]}
    if view.advice is not None:
        found["advice"] = [view.advice]
        if view.page != 1:
            found["page"] = [str(view.page)]
    return found


def link(account_id: str, view: InsightsView | None = None) -> str:
    """The page's address, relative to the app."""
    parameters = {"account": [account_id], **render(view or InsightsView())}
    return f"insights?{urlencode(parameters, doseq=True)}"
