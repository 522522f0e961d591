"""Insights shows what an account is heading for, in every state of the lake."""

from tests.app.conftest import text_of
from warehouse.settings import Settings


def test_the_page_is_drawn_for_every_account(open_page):
    for account in ("acme", "tokyo", "mallory"):
        text = text_of(open_page("insights", account=account))
        assert "Projection of November 2026" in text
        assert "<script>" not in text


def test_an_account_without_usage_says_so(open_page):
    assert "has no usage yet" in text_of(open_page("insights", account="idle"))


def test_without_a_publication_the_page_says_what_to_do(open_page, tmp_path):
    assert "meterhouse sample" in text_of(open_page("insights", Settings(home=tmp_path)))


def test_a_nonsense_address_is_corrected_and_said(open_page):
    app = open_page("insights", account="theft", part="<b>")
    text = text_of(app)
    assert "There is no account “theft”" in text
    assert "There is no part “&lt;b&gt;”" in text
    assert app.query_params["account"] != ["theft"]
    assert "part" not in app.query_params
