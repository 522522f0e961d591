"""The popover with the account's saved views: open, save, rename, delete."""

from collections.abc import Callable

import streamlit as st

from app import formats, saved_views
from app.deeds import SAVE_VIEW
from app.gate import Account, AccountReader, Gate
from app.markup import Choice, choices, notice, tag
from app.saved_views import parameters_of
from app.usage_address import UsageView, query
from app.views.parts import write
from billing.saved_views import SavedView
from warehouse.errors import MeterhouseError


def draw_saved_views(gate: Gate, account: Account, view: UsageView) -> None:
    """Draw the popover for the view that is shown."""
    with st.popover("Views", icon=":material/bookmark:", key="usage-views"):
        try:
            reader = gate.enter(account.account_id)
            found = saved_views.views_of(reader)
        except MeterhouseError as error:
            write(notice("warn", "Saved views cannot be reached", str(error)))
            return
        here = parameters_of(view)
        if found:
            write(
                tag(
                    "div",
                    choices(
                        "Saved views",
                        [
                            Choice(
                                saved.name,
                                f"usage?{query(saved_views.opened(saved))}",
                                saved.parameters == here,
                            )
                            for saved in found
                        ],
                    ),
                    class_="mh-saved",
                )
            )
        else:
            write(
                tag(
                    "p",
                    "Days, filters and grouping under a name, for everyone who sees this account.",
                    class_="mh-soft",
                )
            )
        if not reader.may(SAVE_VIEW):
            return
        with st.form("usage-save-view", clear_on_submit=True, border=False):
            name = st.text_input("Save what is shown as", max_chars=60, placeholder="A name")
            if st.form_submit_button("Save view"):
                _do(lambda: saved_views.save(reader, name, view))
        if found:
            _change(reader, found)


def _change(reader: AccountReader, found: list[SavedView]) -> None:
    """Rename or delete one of the views."""
    by_id = {saved.view_id: saved for saved in found}
    with st.expander("Rename or delete"):
        if st.session_state.get("usage-view-to-change") not in by_id:
            st.session_state["usage-view-to-change"] = found[0].view_id
        chosen = st.selectbox(
            "View",
            list(by_id),
            format_func=lambda view_id: by_id[view_id].name,
            key="usage-view-to-change",
            required=True,
        )
        saved = by_id[chosen]
        name = st.text_input(
            "New name", value=saved.name, max_chars=60, key=f"usage-view-name-{saved.view_id}"
        )
        rename, delete = st.columns(2, wrap=False)
        if rename.button("Rename", width="stretch", disabled=name.strip() in ("", saved.name)):
            _do(lambda: saved_views.rename(reader, saved.view_id, name))
        if delete.button("Delete", width="stretch"):
            _do(lambda: saved_views.delete(reader, saved.view_id))


def _do(act: Callable[[], object]) -> None:
    """Do it and draw the page anew, or say why it cannot be done."""
    try:
        act()
    except MeterhouseError as error:
        write(notice("warn", formats.clip(str(error), 300)))
        return
    st.rerun()
