"""What is shown to who may not see any page: the way in, or what to do to be let in."""

import streamlit as st

from app.markup import Html, empty, join, support, tag
from app.views.parts import write
from warehouse.settings import Settings


def draw_way_in(settings: Settings, *, has_ended: bool = False) -> None:
    """The page of who has not signed in, or whose sign-in has ended: the only one there is."""
    why = (
        "Your sign-in has ended. Sign in again to go on."
        if has_ended
        else "Sign in to see the usage and billing of your account."
    )
    with st.container(key="way-in"):
        write(tag("h1", settings.platform_name), tag("p", why, class_="mh-soft"))
        st.button("Sign in", type="primary", on_click=st.login, key="sign-in")
        write(tag("p", _help(settings), class_="mh-soft"))


def draw_unverified(settings: Settings, claimed: str) -> None:
    """The page of who signed in with an address that the provider has not verified."""
    write(
        tag("h1", settings.platform_name),
        empty(
            "This address is not verified",
            f"You signed in as {claimed}. Verify the address where you signed in, then come back.",
            _help(settings),
        ),
    )


def draw_stranger(settings: Settings, email: str) -> None:
    """The page of who signed in and is a member of no account."""
    write(
        tag("h1", settings.platform_name),
        empty(
            "You are a member of no account yet",
            f"You signed in as {email}. Ask an admin of your account to invite this address; "
            "then come back here.",
            _help(settings),
        ),
    )


def _help(settings: Settings) -> Html:
    return join(["Questions? ", support(settings)])
