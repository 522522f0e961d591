"""The balance at the head of a page, kept up to date while the page is open."""

from datetime import UTC, datetime

import streamlit as st

from app import context, formats
from app.balance import balance_head, not_declared
from app.gate import Account, Gate
from app.views.parts import or_whole_page, write

REFRESH_SECONDS = 2


def draw_balance(gate: Gate, account: Account, *, is_on_credits: bool = False) -> None:
    """Draw the balance, and draw it anew every two seconds without the rest of the page.

    Neither waits for the other: the page is drawn on while the balance is looked up.
    """
    locale = formats.in_use()

    @st.fragment(run_every=REFRESH_SECONDS, parallel=True)
    def balance() -> None:
        formats.use(locale)
        with or_whole_page():
            position = context.position(gate, account.account_id)
        if position is None:
            write(not_declared(account))
        else:
            write(balance_head(position, account, datetime.now(UTC), is_on_credits=is_on_credits))

    with st.container(key="balance"):
        balance()
