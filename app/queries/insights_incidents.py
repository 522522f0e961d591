"""What Insights and Overview show of an account's incidents, and what is marked about them.

Incidents are settled figures; marks are those of the operational store at this moment.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from app.gate import AccountQuestion, AccountReader
from billing.incidents import Incident, Mark, list_marks, mark_of
from warehouse.errors import MeterhouseError

DAYS_SHOWN = 92
"""Days back from the newest usage whose incidents are listed."""

STRONG, EXTREME = Decimal(2), Decimal(5)
"""Severities from which an incident is called strong, and extreme."""


@dataclass(frozen=True)
class Part:
    """One thing that an incident came from: its cause, and its credits of the excess."""

    cause: str
    credits: Decimal


@dataclass(frozen=True)
class ShownIncident:
    """An incident and what was marked about it since, None of nothing."""

    incident: Incident
    mark: Mark | None

    @property
    def is_expected(self) -> bool:
        """Whether it is marked as expected now, published or not."""
        return self.incident.is_expected if self.mark is None else self.mark.is_expected

    @property
    def is_waiting(self) -> bool:
        """Whether what is marked has not been published yet."""
        return self.is_expected != self.incident.is_expected


INCIDENTS = AccountQuestion(
    "rpt_insights_incident",
    Incident,
    where="last_date >= $first and first_date <= $last",
    order="first_date desc",
)


def gather_incidents(reader: AccountReader, first: date, last: date) -> list[Incident]:
    """The account's incidents with a day from ``first`` to ``last``, the newest first."""
    return reader.ask(INCIDENTS, first=first, last=last)


def with_marks(reader: AccountReader, incidents: list[Incident]) -> list[ShownIncident]:
    """Incidents with what is marked about them; without an operational store nothing is."""
    try:
        marks = reader.ask_store(list_marks)
    except MeterhouseError:
        marks = []
    return [
        ShownIncident(each, mark_of(marks, each.first_date, each.last_date)) for each in incidents
    ]


def shown_from(last_usage: date) -> date:
    """The first of the :data:`DAYS_SHOWN` days up to the newest usage."""
    return last_usage - timedelta(days=DAYS_SHOWN - 1)


def parts_of(incident: Incident) -> list[Part]:
    """What an incident came from, the greatest part first; parts of nothing are left out."""
    parts = [
        Part("volume", incident.volume_credits),
        Part("size", incident.size_credits),
        Part("price", incident.price_credits),
        Part("mix", incident.mix_credits),
        Part("new_agent", incident.new_agent_credits),
        Part("errors", incident.error_credits),
    ]
    return sorted((part for part in parts if part.credits), key=lambda part: -part.credits)


def severity_name(severity: Decimal) -> str:
    """mild, strong or extreme."""
    return "extreme" if severity >= EXTREME else "strong" if severity >= STRONG else "mild"
