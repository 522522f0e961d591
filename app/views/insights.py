"""Insights: what an account's usage is heading for, and how far that can be trusted.

Layout only: each section is a module of its own beside this one.
"""

from app import address, context
from app.insights_address import parse, render
from app.markup import empty, notice
from app.views import insights_advice, insights_incidents, insights_projection
from app.views.parts import (
    open_account,
    status_line,
    watch,
    write,
)


def draw() -> None:
    """Draw the page for what its address asks for."""
    gate = context.open_gate()
    account = open_account(gate, "Insights", needs_usage=True)
    if account is None:
        return
    view, remarks = parse(address.read())
    if remarks:
        write(notice("quiet", "Not all of this address could be used.", *remarks))
    address.write({"account": account.account_id, **render(view)})
    if account.first_usage_date is None:
        write(
            empty(
                f"{account.name} has no usage yet",
                "Insights come with its first operations, once they are loaded and published.",
            )
        )
    else:
        write(status_line(gate, account.time_zone))
        insights_projection.draw(gate, account, view)
        insights_incidents.draw(gate, account, view)
        insights_advice.draw(gate, account, view)
    watch(gate.publication)


if __name__ == "__main__":
    draw()
