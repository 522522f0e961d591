"""A rate may start in the past only where none applied; nothing rated changes its price."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rate_card import (
    CATEGORIES,
    UNITS,
    Rate,
    make_rate,
    parse_csv,
    rates_to_add,
)
from billing.rates import SAMPLE_RATES
from ingest import tables
from warehouse.errors import MeterhouseError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rate(
    start: str, model: str | None = None, unit: str = "call", credits_: str = "1", rate_id: int = 0
) -> Rate:
    return Rate(
        "llm",
        model,
        unit,
        Decimal(credits_),
        datetime.fromisoformat(start).replace(tzinfo=UTC),
        rate_id,
    )


def test_the_categories_are_those_of_usage_events() -> None:
    assert CATEGORIES == tables.CATEGORIES


def test_a_rate_is_read_from_texts_as_people_write_them() -> None:
    made = make_rate(" LLM ", " gpt-5 ", "Input_Token", "1e-6", "2026-03-01")
    assert made == Rate(
        "llm", "gpt-5", "input_token", Decimal("0.000001"), datetime(2026, 3, 1, tzinfo=UTC)
    )
    assert make_rate("sql", "", "call", "0.10", "2026-03-01T02:00:00+02:00") == Rate(
        "sql", None, "call", Decimal("0.1"), datetime(2026, 3, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (("LLMs", None, "call", "1", "2026-01-01"), "is no category"),
        (("llm", None, "token", "1", "2026-01-01"), "is no unit"),
        (("llm", "a\nb", "call", "1", "2026-01-01"), "cannot be a model's name"),
        (("llm", None, "call", "one", "2026-01-01"), "is no number"),
        (("llm", None, "call", "", "2026-01-01"), "is no number"),
        (("llm", None, "call", "-1", "2026-01-01"), "0 or more"),
        (("llm", None, "call", "NaN", "2026-01-01"), "0 or more"),
        (("llm", None, "call", "Infinity", "2026-01-01"), "0 or more"),
        (("llm", None, "call", "1e12", "2026-01-01"), "does not fit"),
        (("llm", None, "call", "1e-13", "2026-01-01"), "does not fit"),
        (("llm", None, "call", "1", "01/02/2026"), "is no date"),
        (("llm", None, "call", "1", "1969-12-31"), "out of range"),
    ],
)
def test_a_rate_that_cannot_be_says_which_field_is_wrong(
    fields: tuple[str, str | None, str, str, str], complaint: str
) -> None:
    with pytest.raises(MeterhouseError, match=complaint):
        make_rate(*fields)


def test_a_first_rate_may_start_in_the_past() -> None:
    assert rates_to_add([], [rate("2025-01-01")], NOW) == [rate("2025-01-01")]


def test_a_rate_may_start_from_now_on_whatever_stands() -> None:
    new = Rate("llm", None, "call", Decimal(2), NOW)
    assert rates_to_add([rate("2025-01-01", rate_id=1)], [new], NOW) == [new]


def test_a_rate_may_start_before_the_first_since_none_applied_then() -> None:
    new = rate("2024-01-01")
    assert rates_to_add([rate("2025-01-01", rate_id=1)], [new], NOW) == [new]


def test_a_rate_in_the_past_where_one_applied_is_refused_with_where_it_may_start() -> None:
    with pytest.raises(MeterhouseError, match="from now on, or before 2025-01-01"):
        rates_to_add([rate("2025-01-01", rate_id=1)], [rate("2026-01-01", credits_="2")], NOW)


def test_a_further_unit_of_a_card_may_start_in_the_past() -> None:
    new = rate("2025-01-01", unit="second")
    assert rates_to_add([rate("2025-01-01", rate_id=1)], [new], NOW) == [new]


def test_a_models_own_rate_may_not_start_where_the_categorys_rates_priced_it() -> None:
    with pytest.raises(MeterhouseError, match="for every model applied to gpt-5 then"):
        rates_to_add([rate("2025-01-01", rate_id=1)], [rate("2024-01-01", "gpt-5")], NOW)


def test_a_further_unit_of_a_models_own_rates_may_start_where_those_stood_alone() -> None:
    existing = [rate("2024-01-01", "gpt-5", rate_id=1), rate("2025-01-01", rate_id=2)]
    new = rate("2024-06-01", "gpt-5", unit="second")
    assert rates_to_add(existing, [new], NOW) == [new]


def test_a_whole_card_may_start_in_the_past_at_once() -> None:
    card = [rate("2025-01-01"), rate("2025-01-01", "gpt-5"), rate("2026-01-01", credits_="2")]
    assert rates_to_add([], card, NOW) == card


def test_a_rate_that_stands_already_is_passed_over() -> None:
    existing = [rate("2025-01-01", rate_id=1)]
    assert rates_to_add(existing, [rate("2025-01-01"), rate("2025-01-01")], NOW) == []


def test_two_different_rates_of_the_same_start_are_refused() -> None:
    with pytest.raises(MeterhouseError, match="two different rates"):
        rates_to_add([], [rate("2025-01-01"), rate("2025-01-01", credits_="2")], NOW)


def applied(rates: Iterable[Rate], model: str, unit: str, at: datetime) -> Decimal | None:
    """The price of one unit at a time, by the rule of rating."""
    started = [old for old in rates if old.effective_from <= at]
    own = [old for old in started if old.model == model]
    card = [old for old in own or [r for r in started if r.model is None] if old.unit == unit]
    newest = max(card, key=lambda old: (old.effective_from, old.rate_id), default=None)
    return newest.credits_per_unit if newest else None


DAYS = st.integers(-400, 60).map(lambda days: NOW + timedelta(days=days))
RATES = st.builds(
    Rate,
    st.just("llm"),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from(UNITS[:2]),
    st.integers(0, 3).map(Decimal),
    DAYS,
)


@given(
    st.lists(RATES, max_size=8), DAYS, st.sampled_from(["a", "b", "c"]), st.sampled_from(UNITS[:2])
)
def test_no_rate_that_is_accepted_changes_a_price_that_applied_in_the_past(
    offered: list[Rate], at: datetime, model: str, unit: str
) -> None:
    existing: list[Rate] = []
    for number, new in enumerate(offered, start=1):
        now = NOW + timedelta(days=number)
        before = applied(existing, model, unit, at)
        try:
            added = rates_to_add(existing, [new], now)
        except MeterhouseError:
            continue
        existing += [Rate(*r.key, r.credits_per_unit, r.effective_from, number) for r in added]
        if at < now and before is not None:
            assert applied(existing, model, unit, at) == before


def test_a_csv_file_with_a_byte_order_mark_and_windows_lines_is_read() -> None:
    text = (
        "\ufeffmodel,category,unit,credits_per_unit,effective_from\r\n"
        "gpt-5,llm,call,0.5,2026-01-01\r\n,sql,second,0.01,2026-01-01\r\n"
    )
    first, second = parse_csv(text)
    assert (first.model, first.credits_per_unit) == ("gpt-5", Decimal("0.5"))
    assert (second.model, second.category) == (None, "sql")


def test_a_csv_file_without_the_right_columns_is_refused() -> None:
    for text in ("", "category,unit\n", "a,b,c,d,e\n1,2,3,4,5\n"):
        with pytest.raises(MeterhouseError, match="must name the columns"):
            parse_csv(text)


def test_every_bad_line_of_a_csv_file_is_named() -> None:
    text = (
        "category,model,unit,credits_per_unit,effective_from\n"
        "llm,,call,x,2026-01-01\nllm,,call,1,2026-01-01\nllm,,call\nllm,,call,1,2026-01-01,9\n"
    )
    with pytest.raises(MeterhouseError) as error:
        parse_csv(text)
    assert [line.split(":")[0] for line in str(error.value).splitlines()[1:]] == [
        "  line 2",
        "  line 4",
        "  line 5",
    ]


def test_a_long_list_of_problems_is_cut() -> None:
    lines = ["category,model,unit,credits_per_unit,effective_from"] + [
        "llm,,call,x,2026-01-01"
    ] * 30
    with pytest.raises(MeterhouseError, match="and 20 more"):
        parse_csv("\n".join(lines))


def test_the_sample_rate_card_can_be_added_at_once() -> None:
    card = parse_csv(SAMPLE_RATES.read_text(encoding="utf-8"))
    assert rates_to_add([], card, NOW) == card
