"""What Insights shows of the advice to an account: what is advised, its events, what was saved.

Credits are Decimals as the marts hold them; the days of advice are UTC days, half open.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from app.gate import AccountQuestion, AccountReader

PAGE_SIZE = 20
"""Events of an advice on a page."""


@dataclass(frozen=True)
class Advice:
    """An advice; category and model are None for an agent as a whole."""

    advice_id: str
    kind: str
    agent_id: str
    category: str | None
    model: str | None
    candidate_model: str | None
    credit_basis: str
    is_guess: bool
    events: int
    days: int
    scope_events: int
    agent_events: int
    agent_failed_events: int
    credits: Decimal
    saved_credits: Decimal
    saved_credits_month: Decimal
    baseline_units: int
    baseline_quantity: Decimal
    window_from: date
    window_until: date


@dataclass(frozen=True)
class AdviceEvent:
    """An event that an advice concerns, and what would have been spared in it."""

    source: str
    event_id: str
    category: str
    model: str
    credits: Decimal
    saved_credits: Decimal
    usage_date_utc: date
    occurred_at: datetime


@dataclass(frozen=True)
class AdviceEvents:
    """One page of the events of an advice, those that spare most first; ``number`` is from 1."""

    events: tuple[AdviceEvent, ...]
    total: int
    number: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // PAGE_SIZE))


@dataclass(frozen=True)
class Week:
    """A week since an advice was accepted: what was saved against what would have been."""

    decision_id: int
    week_number: int
    week_from: date
    days: int
    expected_credits: Decimal
    actual_credits: Decimal
    saved_credits: Decimal


ADVICE = AccountQuestion("rpt_insights_advice", Advice, order="saved_credits_month desc, advice_id")
EVENTS = "rpt_insights_advice_event"
WEEKS = AccountQuestion("rpt_insights_advice_saving", Week, order="decision_id, week_number")


def gather_advice(reader: AccountReader) -> tuple[Advice, ...]:
    """The advice to an account, what saves most first."""
    return tuple(reader.ask(ADVICE))


def gather_weeks(reader: AccountReader) -> Mapping[int, tuple[Week, ...]]:
    """The weeks measured so far, by the decision that they measure."""
    found: dict[int, list[Week]] = defaultdict(list)
    for week in reader.ask(WEEKS):
        found[week.decision_id].append(week)
    return {decision_id: tuple(weeks) for decision_id, weeks in found.items()}


def gather_advice_events(reader: AccountReader, advice: Advice, page: int) -> AdviceEvents:
    """A page of the events of an advice; the last one where there are fewer."""
    found = AdviceEvents((), advice.events, 1)
    number = min(max(page, 1), found.pages)
    question = AccountQuestion(
        EVENTS,
        AdviceEvent,
        where="advice_id = $advice_id",
        order="saved_credits desc, occurred_at desc, source, event_id",
        limit=PAGE_SIZE,
        offset=(number - 1) * PAGE_SIZE,
    )
    events = reader.ask(question, advice_id=advice.advice_id)
    return AdviceEvents(tuple(events), advice.events, number)
