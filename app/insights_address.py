"""What the Insights page shows stands in its address: the projection's parts, the replays' day, an
incident, the calls of an advice.

Pure functions. What cannot be used is left out and named, and the page shows the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from app import formats
from app.queries.insights_projection import ELAPSED_DAYS

PARTS = {"category": "Category", "model": "Model", "agent": "Agent"}
"""The parts of an account that are projected each."""

DEFAULT_PART = "category"
DEFAULT_ELAPSED = 10


@dataclass(frozen=True)
class InsightsView:
    """What is shown: the parts that the projection lists, after how many days it is replayed, a day
    of the incident in full, and a page of the calls of an advice.
    """

    part: str = DEFAULT_PART
    elapsed_days: int = DEFAULT_ELAPSED
    incident: date | None = None
    advice: str | None = None
    page: int = 1


def parse(address: Mapping[str, Sequence[str]]) -> tuple[InsightsView, list[str]]:
    """The view of an address, and what of it could not be used."""
    remarks: list[str] = []
    part = (address.get("part") or (DEFAULT_PART,))[-1]
    if part not in PARTS:
        remarks.append(f"There is no part “{formats.clip(part, 40)}”.")
        part = DEFAULT_PART
    after = (address.get("after") or (str(DEFAULT_ELAPSED),))[-1]
    if after not in map(str, ELAPSED_DAYS):
        remarks.append(f"Nothing is replayed after “{formats.clip(after, 40)}” days.")
        after = str(DEFAULT_ELAPSED)
    incident = None
    for text in (address.get("incident") or ())[-1:]:
        try:
            incident = date.fromisoformat(text)
        except ValueError:
            remarks.append(f"There is no day “{formats.clip(text, 40)}”.")
    advice = (address.get("advice") or (None,))[-1]
    page = 1
    if advice is not None and (text := (address.get("page") or ("1",))[-1]) != "1":
        if text.isdecimal() and text.isascii() and len(text) < 8 and int(text) > 0:
            page = int(text)
        else:
            remarks.append(f"There is no page “{formats.clip(text, 40)}”.")
    return InsightsView(part, int(after), incident, advice[:32] if advice else None, page), remarks


def render(view: InsightsView) -> dict[str, list[str]]:
    """The parameters of a view, without the account; what is the default is left out."""
    found: dict[str, list[str]] = {}
    if view.part != DEFAULT_PART:
        found["part"] = [view.part]
    if view.elapsed_days != DEFAULT_ELAPSED:
        found["after"] = [str(view.elapsed_days)]
    if view.incident is not None:
        found["incident"] = [view.incident.isoformat()]
    if view.advice is not None:
        found["advice"] = [view.advice]
        if view.page != 1:
            found["page"] = [str(view.page)]
    return found


def link(account_id: str, view: InsightsView | None = None) -> str:
    """The page's address, relative to the app."""
    parameters = {"account": [account_id], **render(view or InsightsView())}
    return f"insights?{urlencode(parameters, doseq=True)}"
