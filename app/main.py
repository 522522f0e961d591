"""The app's frame: its name, look and navigation. The pages are in ``views/``."""

import streamlit as st

from app.markup import empty
from app.theme import ICON, LOGO, STYLES, brand_style, links_script
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings


def main() -> None:
    """Draw the frame and run the page that the address names."""
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
        menu_items={"About": f"{settings.platform_name} · help at {settings.support_email}"},
    )
    st.logo(str(LOGO), size="large")
    st.html(STYLES)
    st.html(brand_style(settings.platform_name))
    with st.container(key="links"):
        st.html(links_script(), unsafe_allow_javascript=True)
    page = st.navigation(
        {
            "Billing": [
                st.Page(
                    "views/overview.py",
                    title="Overview",
                    icon=":material/space_dashboard:",
                    default=True,
                ),
                st.Page(
                    "views/usage.py",
                    title="Usage",
                    icon=":material/list_alt:",
                    url_path="usage",
                ),
                st.Page(
                    "views/credits.py",
                    title="Credits",
                    icon=":material/toll:",
                    url_path="credits",
                ),
                st.Page(
                    "views/invoices.py",
                    title="Invoices",
                    icon=":material/receipt_long:",
                    url_path="invoices",
                ),
                st.Page(
                    "views/insights.py",
                    title="Insights",
                    icon=":material/insights:",
                    url_path="insights",
                ),
                st.Page(
                    "views/budgets.py",
                    title="Budgets",
                    icon=":material/savings:",
                    url_path="budgets",
                ),
            ],
            "Admin": [
                st.Page(
                    "views/data_health.py",
                    title="Data health",
                    icon=":material/monitor_heart:",
                    url_path="data-health",
                ),
                st.Page(
                    "views/closing.py",
                    title="Closing",
                    icon=":material/event_available:",
                    url_path="closing",
                ),
            ],
        }
    )
    page.run()


if __name__ == "__main__":
    main()
