"""The app's frame: its name, look and navigation. The pages are in ``views/``."""

from functools import partial

import streamlit as st

from app import context, formats
from app.markup import empty, support, tag
from app.sign_in import Visitor, sign_in_reference, sign_out_reference
from app.theme import ICON, LOGO, STYLES, brand_style, links_script
from app.users import User
from app.views.parts import place_banner
from app.views.sign_in import draw_stranger, draw_unverified, draw_way_in
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings, load_settings

PAGES = {
    "Billing": [
        ("views/overview.py", "Overview", ":material/space_dashboard:", ""),
        ("views/usage.py", "Usage", ":material/list_alt:", "usage"),
        ("views/credits.py", "Credits", ":material/toll:", "credits"),
        ("views/invoices.py", "Invoices", ":material/receipt_long:", "invoices"),
        ("views/insights.py", "Insights", ":material/insights:", "insights"),
        ("views/budgets.py", "Budgets", ":material/savings:", "budgets"),
        ("views/members.py", "Members", ":material/group:", "members"),
    ],
    "Admin": [
        ("views/accounts.py", "Accounts", ":material/corporate_fare:", "accounts"),
        ("views/data_health.py", "Data health", ":material/monitor_heart:", "data-health"),
        ("views/first_source.py", "First source", ":material/input:", "first-source"),
        ("views/closing.py", "Closing", ":material/event_available:", "closing"),
        ("views/audit_log.py", "Audit log", ":material/policy:", "audit-log"),
    ],
}
"""Each page: its file, title, icon and path; the one without a path comes first."""

FOR_STAFF = ("Admin",)
"""Sections of the platform's admins; their pages ask the gate for what nobody else is told."""

FOR_ADMINS = ("members",)
"""Paths of pages that only who is admin somewhere has a use for."""

PATHS = [path for pages in PAGES.values() for _, _, _, path in pages]


def pages_of(user: User | None) -> dict[str, list[st.Page]]:
    """The pages that a user may open, by section."""
    manages = user is not None and (user.is_staff or "admin" in user.roles.values())
    return {
        section: [
            st.Page(file, title=title, icon=icon, url_path=path, default=path == "")
            for file, title, icon, path in pages
            if path not in FOR_ADMINS or manages
        ]
        for section, pages in PAGES.items()
        if section not in FOR_STAFF or (user is not None and user.is_staff)
    }


def admit(settings: Settings, visitor: Visitor) -> bool:
    """Whether a visitor sees pages; the log tells of each sign-in once."""
    user = visitor.user
    is_admitted = user is not None and user.accounts != frozenset()
    if settings.has_sign_in and visitor.claimed and not st.session_state.get("sign-in-logged"):
        who = user or User(visitor.claimed, origin=st.context.ip_address or "loopback")
        why = {} if is_admitted else {"why": "no account" if user else "address not verified"}
        context.open_gate(who).log(
            "sign-in",
            "allowed" if is_admitted else "refused",
            details=why,
            reference=visitor.reference and sign_in_reference(visitor.reference),
        )
        st.session_state["sign-in-logged"] = True
    return is_admitted


def turn_away(settings: Settings, visitor: Visitor) -> None:
    """The page of a visitor who may see none of the others."""
    if visitor.user is not None:
        draw_stranger(settings, visitor.user.name)
    elif visitor.claimed:
        draw_unverified(settings, visitor.claimed)
    else:
        draw_way_in(settings, has_ended=visitor.has_ended)


def main() -> None:
    """Draw the frame and run the page that the address names."""
    formats.use(formats.ENGLISH)
    try:
        settings = load_settings()
    except MeterhouseError as error:
        st.html(STYLES)
        st.html(empty("The settings cannot be used", str(error)))
        return
    st.set_page_config(
        page_title=settings.platform_name,
        page_icon=str(ICON),
        layout="wide",
        menu_items={
            "Get help": settings.support_link,
            "About": f"{settings.platform_name} · help at {settings.support_email}",
        },
    )
    st.logo(str(LOGO), size="large")
    st.html(STYLES)
    st.html(brand_style(settings.platform_name))
    with st.container(key="links"):
        st.html(links_script(), unsafe_allow_javascript=True)
    try:
        visitor = context.visiting(settings)
    except MeterhouseError as error:
        st.html(empty("Nobody can be let in now", str(error)))
        return
    is_admitted = admit(settings, visitor)
    page = st.navigation(
        pages_of(visitor.user)
        if is_admitted
        else [
            st.Page(
                partial(turn_away, settings, visitor),
                title="Sign in",
                url_path=path,
                default=path == "",
            )
            for path in PATHS
        ],
        position="sidebar" if is_admitted else "hidden",
    )
    st.set_page_config(page_title=f"{page.title} · {settings.platform_name}")
    with st.sidebar.container(key="foot"):
        if settings.has_sign_in and visitor.claimed:
            st.html(tag("p", f"Signed in as {visitor.claimed}", class_="mh-soft"))
            if st.button("Sign out", key="sign-out"):
                if visitor.user is not None and visitor.reference:
                    context.leave_account()
                    context.open_gate(visitor.user).log(
                        "sign-out", "allowed", reference=sign_out_reference(visitor.reference)
                    )
                st.logout()
        st.html(tag("p", "Questions? ", support(settings), class_="mh-soft"))
    if settings.has_sign_in and visitor.user is not None and visitor.user.is_staff:
        place_banner()
    page.run()


if __name__ == "__main__":
    main()
