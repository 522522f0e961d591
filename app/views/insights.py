"""Insights: what an account's usage is heading for, and how far that can be trusted.

Layout only: each section is a module of its own beside this one.
"""

import streamlit as st

from app import address, context, formats
from app.insights_address import parse, render
from app.markup import empty, notice, tag
from app.views import insights_advice, insights_incidents, insights_projection
from app.views.parts import (
    choose_account,
    no_accounts,
    nothing_published,
    status_line,
    watch,
    write,
)


def draw() -> None:
    """Draw the page for what its address asks for."""
    gate = context.open_gate()
    accounts = context.accounts(gate)
    if gate.publication is None or not accounts:
        write(
            tag("h1", "Insights"),
            no_accounts(gate) if gate.publication else nothing_published(gate),
        )
        watch(gate.publication)
        return
    with st.container(key="page-head", horizontal=True, vertical_alignment="center"):
        write(tag("h1", "Insights"))
        with st.container(
            key="choosers", horizontal=True, horizontal_alignment="right", width="stretch"
        ):
            account, missed = choose_account(accounts)
    if missed is not None:
        name = formats.clip(account.name, 60)
        write(notice("quiet", f"There is no account “{missed}”. This is {name}."))
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
