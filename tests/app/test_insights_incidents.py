"""Incidents are listed with their causes; marking one asks for a reason and is stored."""

from datetime import date
from html import escape

from billing.incidents import list_marks
from billing.store import open_store
from tests.app.conftest import text_of
from tests.app.reporting_lake import HOSTILE


def test_an_incident_says_what_it_came_from_and_leads_to_its_usage(open_page):
    text = text_of(open_page("insights", account="acme", incident="2026-11-06"))
    assert "Failures and retries · research-agent" in text
    assert "A switch · to claude-opus-4-6" in text
    assert "extreme" in text and "Longer calls" in text
    usage = "usage?account=acme&from=2026-11-06&to=2026-11-07&agent=research-agent"
    assert escape(usage) in text


def test_a_part_that_made_it_less_is_said_to_be_less(open_page):
    text = text_of(open_page("insights", account="acme", incident="2026-11-17"))
    assert "Cheaper calls" in text
    assert "−" in text


def test_what_was_expected_is_listed_as_such(open_page):
    assert "expected" in text_of(open_page("insights", account="acme", incident="2026-10-14"))


def test_hostile_names_stay_text(open_page):
    text = text_of(open_page("insights", account="mallory"))
    assert "<script>" not in text
    assert escape(HOSTILE[:20]) in text


def test_an_account_without_incidents_says_what_one_takes(open_page):
    assert "Nothing unusual" in text_of(open_page("insights", account="tokyo"))


def test_marking_an_incident_stores_who_and_why_and_can_be_taken_back(open_page, stocked):
    app = open_page("insights", stocked, account="acme", incident="2026-11-06")
    app.text_input[0].set_value("Load test, as planned")
    app.button[0].click().run()
    assert "Load test, as planned" in text_of(app)
    assert "at the next refresh" in text_of(app)
    app.text_input[0].set_value("It was not")
    app.button[0].click().run()
    assert "Not expected: It was not" in text_of(app)
    with open_store(stocked) as store:
        newest, first = list_marks(store, "acme")
    assert (first.is_expected, newest.is_expected) == (True, False)
    assert first.first_date == first.last_date == date(2026, 11, 6)
    assert first.recorded_by


def test_a_mark_without_a_reason_is_refused(open_page, stocked):
    app = open_page("insights", stocked, account="acme", incident="2026-11-06")
    app.button[0].click().run()
    assert "the reason is missing" in text_of(app)
    with open_store(stocked) as store:
        assert list_marks(store, "acme") == []


def test_the_overview_names_the_cause_of_a_spike_and_leaves_expected_ones_alone(open_page):
    text = text_of(open_page(account="acme", month="2026-11"))
    assert "Failures and retries · research-agent" in text
    assert "insights?account=acme&amp;incident=2026-11-06" in text
    october = text_of(open_page(account="acme", month="2026-10"))
    assert "incident=2026-10-14" not in october
