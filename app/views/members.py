"""Members: who sees an account and in which role, and who is invited to it."""

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from app import address, context, formats
from app.deeds import CHANGE_MEMBER, INVITE_MEMBER, REMOVE_MEMBER, WITHDRAW_INVITATION
from app.gate import AccountReader
from app.markup import Column, badge, empty, heading, notice, table
from app.views.parts import card, live_line, open_account, watch, write
from billing.alerts.delivery import send_due
from billing.invitations import Invitation, invite, list_invitations, withdraw
from billing.members import ROLES, Member, list_members, remove_member, set_member
from billing.store import Store
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

ROLE_TEXTS = {
    "viewer": "viewer: looks at every page",
    "billing": "billing: also buys, sets budgets, takes documents away",
    "admin": "admin: also manages members",
}


def draw() -> None:
    """Draw the page for the account of its address."""
    gate = context.open_gate()
    account = open_account(gate, "Members")
    if account is None:
        return
    address.write({"account": account.account_id})
    reader = gate.enter(account.account_id)
    if not reader.may(INVITE_MEMBER):
        write(
            empty(
                "An admin of the account manages its members",
                "Ask one of them to invite somebody, or to change your role.",
            )
        )
        watch(gate.publication)
        return
    try:
        members, invited = reader.ask_store(list_members), reader.ask_store(list_invitations)
    except MeterhouseError as error:
        write(notice("warn", "Members cannot be shown", str(error)))
        watch(gate.publication)
        return
    write(live_line(datetime.now(UTC), reader.account.time_zone))
    _members(reader, members)
    _invitations(reader, gate.settings, invited)
    watch(gate.publication)


def _members(reader: AccountReader, members: list[Member]) -> None:
    zone = reader.account.time_zone
    with card("members", fills=False):
        write(heading("Members", formats.plural(len(members), "member")))
        if not members:
            write(empty("Nobody is a member yet", "Invite the first one below."))
            return
        write(
            table(
                [Column("Address"), Column("Role"), Column("Since", is_wide_only=True)],
                [
                    [each.email, each.role, formats.moment(each.recorded_at, zone)]
                    for each in members
                ],
            )
        )
        by_email = {each.email: each for each in members}
        with st.container(horizontal=True, vertical_alignment="bottom"):
            email = st.selectbox("Member", list(by_email), key="member-chosen", width=320)
            role = st.selectbox(
                "Role",
                ROLES,
                ROLES.index(by_email[email].role),
                format_func=lambda each: ROLE_TEXTS[each],
                key=f"member-role-{email}-{by_email[email].role}",
                width=320,
            )
            changed = st.button("Change the role", disabled=role == by_email[email].role)
            removed = st.button("Remove", key="member-remove")
        if changed:
            _do(
                lambda: reader.do(
                    CHANGE_MEMBER,
                    lambda store, account: set_member(store, account, email, role),
                    member=email,
                    role=role,
                )
            )
        if removed:
            _do(
                lambda: reader.do(
                    REMOVE_MEMBER,
                    lambda store, account: remove_member(store, account, email),
                    member=email,
                )
            )


def _invitations(reader: AccountReader, settings: Settings, invited: list[Invitation]) -> None:
    zone, now = reader.account.time_zone, datetime.now(UTC)
    with card("invitations", fills=False):
        write(heading("Invitations", "accepted by signing in with the address"))
        if invited:
            write(
                table(
                    [Column("Address"), Column("Role"), Column("State"), Column("Until")],
                    [
                        [
                            each.email,
                            each.role,
                            badge("run out", "warn") if each.is_over(now) else badge("waiting"),
                            formats.moment(each.expires_at, zone),
                        ]
                        for each in invited
                    ],
                )
            )
            with st.container(horizontal=True, vertical_alignment="bottom"):
                chosen = st.selectbox(
                    "Invitation", [each.email for each in invited], key="invitation-chosen"
                )
                if st.button("Withdraw", key="invitation-withdraw"):
                    _do(
                        lambda: reader.do(
                            WITHDRAW_INVITATION,
                            lambda store, account: withdraw(store, account, chosen),
                            member=chosen,
                        )
                    )
        with (
            st.form("invite", border=False, clear_on_submit=True),
            st.container(horizontal=True, vertical_alignment="bottom"),
        ):
            email = st.text_input("Address", key="invite-email", max_chars=254, width=320)
            role = st.selectbox(
                "Role",
                ROLES,
                format_func=lambda each: ROLE_TEXTS[each],
                key="invite-role",
                width=320,
            )
            asked = st.form_submit_button("Invite", type="primary")
        if asked:
            _do(
                lambda: reader.do(
                    INVITE_MEMBER,
                    lambda store, account: _invite(store, settings, account, email, role),
                    member=email,
                    role=role,
                )
            )


def _invite(store: Store, settings: Settings, account_id: str, email: str, role: str) -> None:
    """Invite, and send the mail now; what cannot be sent now the outbox tries again."""
    invite(store, settings, account_id, email, role)
    send_due(settings, store)


def _do(act: Callable[[], object]) -> None:
    """Do it and draw the page anew, or say why it cannot be done."""
    try:
        act()
    except MeterhouseError as error:
        write(notice("warn", formats.clip(str(error), 300)))
        return
    st.rerun()


if __name__ == "__main__":
    draw()
