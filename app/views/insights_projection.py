"""The projection's section of Insights."""

from app import context, formats
from app.gate import Account, Gate
from app.insights_address import InsightsView
from app.markup import heading, stat
from app.views.parts import card, write


def draw(gate: Gate, account: Account, view: InsightsView) -> None:
    """Draw what the account's month is heading for."""
    found = context.projection(gate, account.account_id)
    if found is None:
        return
    with card("projection"):
        write(
            heading(f"Projection of {formats.month(found.month)}"),
            stat("Projected total", formats.credits(found.projected_credits)),
        )
