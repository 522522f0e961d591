"""Insights shows what an account is heading for, in every state of the lake."""

from tests.app.conftest import text_of
from warehouse.settings import Settings


def projection_of(page) -> str:
    """What stands above the incidents."""
    return text_of(page).split("<h3>Incidents")[0]


def test_the_page_is_drawn_for_every_account(open_page):
    for account in ("acme", "tokyo", "mallory"):
        text = text_of(open_page("insights", account=account))
        assert "Projection of November 2026" in text
        assert "<script>" not in text


def test_the_parts_of_a_projection_are_listed_as_the_address_asks(open_page):
    by_category = projection_of(open_page("insights", account="acme"))
    assert "Language models" in by_category and "research-agent" not in by_category
    assert "research-agent" in projection_of(open_page("insights", account="acme", part="agent"))


def test_the_track_record_is_told_and_says_what_was_outside(open_page):
    text = text_of(open_page("insights", account="acme"))
    assert "The last 12 projections were off by" in text
    assert "10 of 12 inside the range" in text
    assert "outside the range" in text


def test_too_little_history_is_said_and_nothing_is_made_up(open_page):
    text = text_of(open_page("insights", account="mallory"))
    assert "rough estimate · 9 days of history" in text
    assert "No past month can be replayed yet" in text


def test_an_account_without_usage_says_so(open_page):
    assert "has no usage yet" in text_of(open_page("insights", account="idle"))


def test_without_a_publication_the_page_says_what_to_do(open_page, tmp_path):
    assert "meterhouse sample" in text_of(open_page("insights", Settings(home=tmp_path)))


def test_a_nonsense_address_is_corrected_and_said(open_page):
    app = open_page("insights", account="theft", part="<b>", after="7")
    text = text_of(app)
    assert "There is no account “theft”" in text
    assert "There is no part “&lt;b&gt;”" in text
    assert "Nothing is replayed after “7” days" in text
    assert app.query_params["account"] != ["theft"]
    assert "part" not in app.query_params
