"""A page writes figures and days by the customs of its account, charts included."""

import json
import re

from app import charts, formats
from billing.invoices.parties import set_profile
from billing.store import open_store
from tests.app.conftest import text_of
from warehouse.settings import Settings

PLACE = {"name": "Acme", "street": "Torstraße 1", "postcode": "10119", "city": "Berlin"}


def live_in(settings: Settings, account: str, language: str, country: str) -> None:
    with open_store(settings) as store:
        set_profile(store, account, {**PLACE, "language": language, "country": country})


def test_pages_follow_the_account_and_not_the_one_before(open_page, stocked):
    live_in(stocked, "acme", "de", "DE")
    live_in(stocked, "tokyo", "en", "US")
    app = open_page(settings=stocked, account="acme", month="2026-11")
    german = text_of(app)
    assert "1.–23.11.2026" in german
    assert re.search(r"88\.\d{3},\d\d", german), "the balance"
    assert not re.search(r"\d,\d{3}\.\d\d", german)
    app.selectbox(key="account").select("tokyo").run()
    assert "Nov 1–23, 2026" in text_of(app)
    app.selectbox(key="account").select("mallory").run()
    assert "2–23 Nov 2026" in text_of(app) or "1–23 Nov 2026" in text_of(app)


def test_days_are_picked_and_prices_told_as_the_account_writes_them(open_page, stocked):
    live_in(stocked, "acme", "de", "DE")
    live_in(stocked, "tokyo", "en", "US")
    app = open_page("credits", stocked, account="acme")
    assert app.date_input(key="credits-first").proto.format == "DD.MM.YYYY"
    assert "per 1.000" in text_of(app) and "per 1,000" not in text_of(app)
    app.selectbox(key="account").select("tokyo").run()
    assert app.date_input(key="credits-first").proto.format == "MM/DD/YYYY"
    app.selectbox(key="account").select("mallory").run()
    assert app.date_input(key="credits-first").proto.format == "YYYY-MM-DD"


def test_axes_follow_it_as_well():
    formats.use(formats.GERMAN)
    try:
        chart = charts.calm([charts.alt.Chart().mark_bar()], 100)
        assert json.loads(chart.to_json())["config"]["locale"]["number"]["decimal"] == ","
    finally:
        formats.use(formats.ENGLISH)
