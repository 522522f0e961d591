"""The address of the Credits page: what is written is read back, and garbage is told."""

from datetime import date
from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st

from app.credits_address import HISTORY, CreditsView, filtered, link, parse, render
from app.queries.credits import POSTING_KINDS, LedgerFilter

LOTS = (1, 7, 10**12)
DAYS = st.dates(date(1970, 1, 1), date(2199, 12, 31))


@st.composite
def views(draw) -> CreditsView:
    first, last = draw(st.none() | DAYS), draw(st.none() | DAYS)
    if first and last and first > last:
        first, last = last, first
    kinds = draw(st.lists(st.sampled_from(sorted(POSTING_KINDS)), unique=True))
    lot = draw(st.none() | st.sampled_from(LOTS))
    return CreditsView(
        draw(st.sampled_from(sorted(HISTORY))),
        LedgerFilter(tuple(kinds), lot, first, last),
        draw(st.integers(1, 10**6)),
        draw(st.none() | st.uuids().map(str)),
    )


@given(views())
def test_what_is_written_is_read_back(view):
    assert parse(render(view), LOTS) == (view, [])
    written = parse_qs(link("acme", view).partition("?")[2])
    assert written == {"account": ["acme"], **render(view)}


@given(
    st.dictionaries(
        st.sampled_from(["history", "kind", "lot", "from", "to", "page", "purchase"]),
        st.lists(st.text(max_size=30), max_size=3),
    )
)
def test_garbage_is_no_error_and_what_is_left_can_be_written(address):
    view, _ = parse(address, LOTS)
    assert parse(render(view), LOTS) == (view, [])


def test_what_cannot_be_used_is_told():
    _, remarks = parse(
        {"kind": ["grant", "theft"], "lot": ["2"], "page": ["0"], "from": ["tomorrow"]}, LOTS
    )
    assert len(remarks) == 4


def test_days_in_the_wrong_order_are_turned_round():
    view, _ = parse({"from": ["2026-11-05"], "to": ["2026-11-01"]}, LOTS)
    assert (view.ledger.first, view.ledger.last) == (date(2026, 11, 1), date(2026, 11, 5))


def test_another_filter_begins_at_its_first_page():
    view = filtered(CreditsView(page=4, purchase="p"), LedgerFilter(("grant",)))
    assert (view.page, view.purchase) == (1, None)
