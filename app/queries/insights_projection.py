"""What Insights shows of an account's projection."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.gate import AccountQuestion, AccountReader


@dataclass(frozen=True)
class Projection:
    """A month that is not over: credits so far and what they are heading for."""

    month: date
    credits: Decimal
    projected_credits: Decimal | None
    is_complete: bool


PROJECTION = AccountQuestion("rpt_overview_month", Projection, order="month desc", limit=1)


def gather_projection(reader: AccountReader) -> Projection | None:
    """The newest month of the account; None without usage."""
    found = reader.ask(PROJECTION)
    return found[0] if found else None
