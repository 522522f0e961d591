"""Insights says what would save credits, shows the calls, and measures what was accepted."""

from html import escape

import pytest

from app.advising import accept, accepted_of, withdraw
from app.context import shared_store
from app.gate import Gate
from app.lake import LakeReader
from app.queries.insights_advice import PAGE_SIZE, gather_advice, gather_advice_events
from app.usage_address import link as usage_link
from app.views.insights_advice import usage_of
from tests.app.conftest import text_of
from tests.app.reporting_lake import HOSTILE
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


@pytest.fixture
def gate(stocked: Settings):
    reader = LakeReader(stocked)
    yield Gate(reader, reader.publication(), lambda: shared_store(stocked))
    reader.close()


def test_each_advice_stands_with_its_credits_evidence_and_calls(open_page, stocked):
    text = text_of(open_page("insights", stocked, account="acme"))
    for said in (
        "Let Claude Sonnet 4.5 answer the short calls of research-agent",
        "842 calls on Claude Opus 4.6 had little to read",
        "by what this account pays for the other model",
        "Keep the answers that support-copilot asks for again",
        "Mend the failures of qa-tester",
        "Show 842 calls",
        "replayed on 26 Oct – 22 Nov 2026, UTC",
    ):
        assert said in text
    assert text.count("a guess") == 2


def test_hostile_names_stay_text(open_page, stocked):
    text = text_of(open_page("insights", stocked, account="mallory"))
    assert "<script>" not in text
    assert escape(HOSTILE[:20]) in text


def test_an_account_without_advice_is_told_what_is_looked_for(open_page, stocked):
    assert "Repeated requests, short calls" in text_of(
        open_page("insights", stocked, account="tokyo")
    )


def test_the_calls_of_an_advice_come_in_pages(gate: Gate):
    reader = gate.enter("acme")
    first = gather_advice(reader)[0]
    seen = [gather_advice_events(reader, first, page) for page in (1, 2, 10**6)]
    assert [page.number for page in seen] == [1, 2, -(-842 // PAGE_SIZE)]
    keys = [{event.event_id for event in page.events} for page in seen]
    assert len(keys[0]) == PAGE_SIZE
    assert not keys[0] & keys[1]
    assert len(keys[2]) == 842 % PAGE_SIZE


def test_the_calls_lead_to_their_operations_and_to_usage(open_page, stocked, gate: Gate):
    advice = gather_advice(gate.enter("acme"))[0]
    app = open_page("insights", stocked, account="acme", advice=advice.advice_id, page="2")
    text = text_of(app)
    assert "Page 2 of 43" in text
    assert "event=2026-11-" in text
    assert escape(usage_link("acme", usage_of(advice))) in text
    assert app.query_params["page"] == "2"


def test_accepting_asks_first_and_starts_a_measurement(open_page, stocked, gate: Gate):
    reader = gate.enter("acme")
    advice = gather_advice(reader)[0]
    app = open_page("insights", stocked, account="acme")
    assert accepted_of(reader) == []
    app.button(key=f"advice-yes-{advice.advice_id}").click().run()
    assert not app.exception
    (accepted,) = accepted_of(reader)
    assert accepted.advised.advice_id == advice.advice_id
    assert accepted.advised.baseline_quantity == advice.baseline_quantity
    text = text_of(app)
    assert "Accepted advice" in text
    assert f"by {escape(accepted.accepted_by)}" in text
    assert "54.00" in text  # three weeks: 9, 18 and 27 credits
    assert "Show 842 calls" not in text
    app.button(key="advice-withdraw-yes").click().run()
    assert accepted_of(reader) == []
    assert "Show 842 calls" in text_of(app)


def test_an_advice_is_accepted_once_and_only_by_its_account(gate: Gate):
    acme, mallory = gate.enter("acme"), gate.enter("mallory")
    advice = gather_advice(acme)[0]
    assert accept(acme, advice) == accept(acme, advice)
    assert accepted_of(mallory) == []
    with pytest.raises(MeterhouseError, match="not accepted"):
        withdraw(mallory, advice.advice_id)
    assert withdraw(acme, advice.advice_id).advised.advice_id == advice.advice_id
    assert accept(acme, advice).decision_id == 3


def test_without_a_store_advice_is_shown_and_cannot_be_accepted(open_page, own_lake):
    app = open_page("insights", own_lake, account="acme")
    assert "Advice cannot be accepted now" in text_of(app)
    assert not [button for button in app.button if button.label == "Accept and measure"]


def test_a_nonsense_page_of_calls_is_said(open_page, stocked):
    text = text_of(open_page("insights", stocked, account="acme", advice="nothing", page="-3"))
    assert "There is no page “-3”" in text
