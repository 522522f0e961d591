"""What the Insights page shows stands in its address: by which parts the projection is listed.

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
    """What is shown: the parts that the projection lists."""

    part: str = DEFAULT_PART


def parse(address: Mapping[str, Sequence[str]]) -> tuple[InsightsView, list[str]]:
    """The view of an address, and what of it could not be used."""
    remarks: list[str] = []
    part = (address.get("part") or (DEFAULT_PART,))[-1]
    if part not in PARTS:
        remarks.append(f"There is no part “{formats.clip(part, 40)}”.")
        part = DEFAULT_PART
    return InsightsView(part), remarks


def render(view: InsightsView) -> dict[str, list[str]]:
    """The parameters of a view, without the account; what is the default is left out."""
    return {} if view.part == DEFAULT_PART else {"part": [view.part]}


def link(account_id: str, view: InsightsView | None = None) -> str:
    """The page's address, relative to the app."""
    parameters = {"account": [account_id], **render(view or InsightsView())}
    return f"insights?{urlencode(parameters, doseq=True)}"
