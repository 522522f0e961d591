"""The addresses of Invoices and Closing: what is written is read back, and garbage is told."""

from datetime import date
from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st

from app.invoices_address import (
    STATES,
    ClosingView,
    InvoicesView,
    closing_link,
    invoices_link,
    parse_closing,
    parse_invoices,
    render_closing,
    render_invoices,
    whole_list,
)

YEARS = (2025, 2026)
LINES = {"INV-2026-000001": [1, 2], "CN-2026-000001": [1]}
MONTHS = [date(2026, month, 1) for month in (11, 10, 9)]


@st.composite
def invoices(draw) -> InvoicesView:
    number = draw(st.none() | st.sampled_from(sorted(LINES)))
    line = draw(st.none() | st.sampled_from(LINES[number])) if number else None
    page = draw(st.integers(1, 10**6)) if line else 1
    return InvoicesView(draw(st.none() | st.sampled_from(YEARS)), number, line, page)


@given(invoices())
def test_invoices_that_are_written_are_read_back(view):
    assert parse_invoices(render_invoices(view), YEARS, LINES) == (view, [])
    written = parse_qs(invoices_link("a&b", view).partition("?")[2])
    assert written == {"account": ["a&b"], **render_invoices(view)}
    assert whole_list(view) == InvoicesView(view.year)


@given(
    st.builds(
        ClosingView,
        st.sampled_from(MONTHS),
        st.none() | st.sampled_from(sorted(STATES)),
        st.integers(1, 10**6),
    )
)
def test_a_closing_that_is_written_is_read_back(view):
    assert parse_closing(render_closing(view), MONTHS, MONTHS[1]) == (view, [])
    assert parse_qs(closing_link(view).partition("?")[2]) == render_closing(view)


@given(
    st.dictionaries(
        st.sampled_from(["year", "invoice", "line", "page", "month", "state"]),
        st.lists(st.text(max_size=30), max_size=3),
    )
)
def test_garbage_is_no_error_and_what_is_left_can_be_written(address):
    view, _ = parse_invoices(address, YEARS, LINES)
    assert parse_invoices(render_invoices(view), YEARS, LINES) == (view, [])
    closing, _ = parse_closing(address, MONTHS, MONTHS[1])
    assert parse_closing(render_closing(closing), MONTHS, MONTHS[1]) == (closing, [])


def test_what_cannot_be_used_is_told():
    address = {"year": ["02026"], "invoice": ["INV-2026-000001"], "line": ["3"]}
    view, remarks = parse_invoices(address, YEARS, LINES)
    assert view == InvoicesView(number="INV-2026-000001")
    assert len(remarks) == 2
    _, remarks = parse_closing(
        {"month": ["2026-13"], "state": ["x"], "page": ["0"]}, MONTHS, MONTHS[1]
    )
    assert len(remarks) == 3
