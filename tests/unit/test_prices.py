"""The flat price rows cost every request exactly what the package genai-prices says it costs."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cache

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.price_list import TOKEN_KINDS, PriceRow, list_prices, match_model, model_prices

Counts = dict[str, int]
DAY = timedelta(days=1)


def cost(rows: Iterable[PriceRow], at: datetime, tokens: Counts) -> Decimal:
    """What the rows say: latest start, then the part of the day, then the highest tier reached."""
    naive = at.astimezone(UTC).replace(tzinfo=None)
    of_day = naive - datetime.combine(naive.date(), time())
    prompt = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
    total = Decimal(0)
    for kind, count in tokens.items():
        started = [
            row for row in rows if row.token_kind == kind and row.effective_from <= naive.date()
        ]
        latest = max((row.effective_from for row in started), default=None)
        standing = [
            row
            for row in started
            if row.effective_from == latest
            and (row.day_start is None or row.day_start <= of_day < (row.day_end or DAY))
            and row.tier_start <= prompt
        ]
        if standing:
            highest = max(row.tier_start for row in standing)
            (row,) = [row for row in standing if row.tier_start == highest]
            total += row.usd_per_mtok * count / 1_000_000
    return total


def package_cost(model: ModelInfo, at: datetime, tokens: Counts) -> Decimal:
    """What the package's own arithmetic says; its input tokens include the cached ones."""
    price = model.get_prices(at).calc_price(usage(tokens))
    return price["input_price"] + price["output_price"]


def usage(tokens: Counts) -> Usage:
    return Usage(
        input_tokens=tokens["input"] + tokens["cache_read"] + tokens["cache_write"],
        cache_read_tokens=tokens["cache_read"],
        cache_write_tokens=tokens["cache_write"],
        output_tokens=tokens["output"],
    )


@cache
def listed() -> list[tuple[str, ModelInfo]]:
    return [
        (provider.id, model) for provider in get_snapshot().providers for model in provider.models
    ]


@cache
def intricate() -> list[tuple[str, ModelInfo]]:
    """Models whose price depends on the date, the time of day or the length of the prompt."""
    return [
        (provider, model)
        for provider, model in listed()
        if isinstance(model.prices, list)
        or any(isinstance(price, TieredPrices) for price in model.prices.__dict__.values())
    ]


def is_exact(model: ModelInfo) -> bool:
    """Whether all its prices have at most the twelve decimals that are stored."""
    rows = list(model_prices("any", model))
    return all(package_price(model, row) == row.usd_per_mtok for row in rows)


def package_price(model: ModelInfo, row: PriceRow) -> Decimal:
    at = datetime.combine(row.effective_from, time(), UTC) + (row.day_start or timedelta())
    prices = model.get_prices(at)
    price = getattr(prices, f"{row.token_kind}_mtok")
    price = prices.input_mtok if price is None else price
    if not isinstance(price, TieredPrices):
        return price
    return next((t.price for t in price.tiers if t.start + 1 == row.tier_start), price.base)


COUNTS = st.one_of(
    st.integers(0, 3_000), st.sampled_from([0, 1, 32_000, 128_000, 200_000, 200_001, 272_000])
)
TOKENS = st.fixed_dictionaries(dict.fromkeys(TOKEN_KINDS, COUNTS))
CLOCKS = st.one_of(
    st.times(),
    st.sampled_from([time(0, 30), time(1), time(4), time(6), time(16, 30), time.max, time.min]),
)
MOMENTS = st.builds(
    lambda day, clock: datetime.combine(day, clock, UTC),
    st.dates(date(2024, 1, 1), date(2027, 6, 30)),
    CLOCKS,
)


@settings(max_examples=400)
@given(st.data(), MOMENTS, TOKENS)
def test_any_request_at_any_time_costs_what_the_package_says(
    data: st.DataObject, at: datetime, tokens: Counts
) -> None:
    provider, model = data.draw(
        st.sampled_from(data.draw(st.sampled_from([listed(), intricate()])))
    )
    expected = package_cost(model, at, tokens)
    ours = cost(list(model_prices(provider, model)), at, tokens)
    # Prices are stored with twelve decimals; a few in the list are floats with more.
    assert abs(ours - expected) <= (0 if is_exact(model) else Decimal("1e-11"))


@pytest.mark.parametrize("index", [0, 1])
def test_every_intricate_model_agrees_around_each_of_its_boundaries(index: int) -> None:
    """At every start date, time of day and tier: just before, at, and just after."""
    instant = timedelta(microseconds=1)
    for provider, model in intricate()[index::2]:
        rows = list(model_prices(provider, model))
        exact = is_exact(model)
        starts = {max(row.effective_from, date(1970, 1, 2)) for row in rows} | {date(2026, 11, 23)}
        clocks = {row.day_start or timedelta() for row in rows}
        prompts = {row.tier_start for row in rows if row.tier_start} | {1000}
        for start in starts:
            for clock in clocks:
                at = datetime.combine(start, time(), UTC) + clock
                for moment in (at - instant, at, at + instant):
                    for prompt in prompts:
                        for size in (prompt - 1, prompt):
                            tokens = {
                                "input": size - 300,
                                "cache_read": 200,
                                "cache_write": 100,
                                "output": 77,
                            }
                            wanted = package_cost(model, moment, tokens)
                            difference = abs(cost(rows, moment, tokens) - wanted)
                            assert difference <= (0 if exact else Decimal("1e-11")), model.id


def test_the_rows_of_a_model_and_start_cover_the_day_once() -> None:
    parts: dict[tuple[object, ...], list[tuple[timedelta, timedelta]]] = {}
    for row in list_prices():
        key = (row.provider, row.price_model, row.token_kind, row.effective_from, row.tier_start)
        parts.setdefault(key, []).append((row.day_start or timedelta(), row.day_end or DAY))
    for key, covered in parts.items():
        edges = [edge for part in sorted(covered) for edge in part]
        assert edges[1:-1:2] == edges[2::2], key
        if key[-1] == 0:
            assert (edges[0], edges[-1]) == (timedelta(), DAY), key


def test_the_parts_of_the_day_of_a_model_are_the_same_for_every_start() -> None:
    parts: dict[tuple[str, str], dict[date, set[tuple[object, object]]]] = {}
    for row in list_prices():
        by_start = parts.setdefault((row.provider, row.price_model), {})
        by_start.setdefault(row.effective_from, set()).add((row.day_start, row.day_end))
    for model, by_start in parts.items():
        assert len({frozenset(found) for found in by_start.values()}) == 1, model


def made(prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id="made", match=ClauseEquals(equals="made"), prices=prices)


def test_a_part_of_the_day_that_crosses_midnight_is_cut_there() -> None:
    cheap = TimeOfDateConstraint(
        time(22, tzinfo=timezone(timedelta(hours=-1))),
        time(1, tzinfo=timezone(timedelta(hours=-1))),
    )
    rows = list(
        model_prices(
            "p",
            made(
                [
                    ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2))),
                    ConditionalPrice(cheap, prices=ModelPrice(input_mtok=Decimal(1))),
                    ConditionalPrice(
                        TimeOfDateConstraint(time(22), time(23)),
                        prices=ModelPrice(input_mtok=Decimal(3)),
                    ),
                ]
            ),
        )
    )
    hours = timedelta(hours=1)
    assert [(r.day_start, r.day_end, r.usd_per_mtok) for r in rows if r.token_kind == "input"] == [
        (0 * hours, 2 * hours, Decimal(1)),
        (2 * hours, 22 * hours, Decimal(2)),
        (22 * hours, 23 * hours, Decimal(3)),
        (23 * hours, 24 * hours, Decimal(1)),
    ]


def test_a_later_entry_overrides_an_earlier_one_and_the_first_stands_before_all_starts() -> None:
    model = made(
        [
            ConditionalPrice(
                StartDateConstraint(date(2026, 3, 1)), prices=ModelPrice(input_mtok=Decimal(3))
            ),
            ConditionalPrice(
                StartDateConstraint(date(2026, 2, 1)), prices=ModelPrice(input_mtok=Decimal(2))
            ),
        ]
    )
    rows = [row for row in model_prices("p", model) if row.token_kind == "input"]
    assert [(row.effective_from, row.usd_per_mtok) for row in rows] == [
        (date(1970, 1, 1), Decimal(3)),
        (date(2026, 2, 1), Decimal(2)),
        (date(2026, 3, 1), Decimal(2)),
    ]


def test_a_tier_begins_one_token_above_the_lists_threshold() -> None:
    price = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    rows = [
        (row.token_kind, row.tier_start, row.usd_per_mtok)
        for row in model_prices("p", made(ModelPrice(input_mtok=price)))
    ]
    assert rows == [
        (kind, start, usd)
        for kind in ("input", "cache_read", "cache_write")
        for start, usd in ((0, Decimal(1)), (200_001, Decimal(2)))
    ]


def test_a_model_listed_without_token_prices_has_no_rows_rather_than_free_ones() -> None:
    assert list(model_prices("p", made(ModelPrice()))) == []
    assert list(model_prices("p", made(ModelPrice(input_mtok=Decimal(0)))))


def test_a_price_with_more_decimals_than_are_stored_is_rounded_half_up() -> None:
    (row, *_) = model_prices("p", made(ModelPrice(input_mtok=Decimal("0.18000000000000002"))))
    assert row.usd_per_mtok == Decimal("0.18")
    assert -row.usd_per_mtok.as_tuple().exponent == 12


@pytest.mark.parametrize(
    ("name", "provider", "price_model"),
    [
        ("azure/DeepSeek-V3.2", "deepseek", "deepseek-v3.2"),
        ("azure/Kimi-K2.5", "moonshotai", "kimi-k2.5"),
        ("claude-opus-4-7", "anthropic", "claude-opus-4-7"),
        ("claude-opus-4-6", "anthropic", "claude-opus-4-6"),
        ("claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"),
        ("openai/gpt-5", "openai", "gpt-5"),
        ("OpenAI/GPT-5", "openai", "gpt-5"),
        ("gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("gemini/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("vertex_ai/gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("openrouter/openai/gpt-5", "openrouter", "openai/gpt-5"),
        ("groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
        ("some-gateway/gpt-4o", "openai", "gpt-4o"),
        ("a/b/c/gpt-4o", "openai", "gpt-4o"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek", "deepseek-v3.2"),
        (" gpt-5 ", "openai", "gpt-5"),
    ],
)
def test_a_model_name_is_found_in_the_price_list(
    name: str, provider: str, price_model: str
) -> None:
    found = match_model(name)
    assert found is not None
    assert (found.provider, found.price_model) == (provider, price_model)
    assert found.model_name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "/",
        "azure/",
        "/x",
        "warehouse-m",
        "craveva-router-1",
        "openrouter/auto",
        "llama-3.3-70b",
        "foo/bar/",
        "text",
        "flux-2-pro",
    ],
)
def test_a_name_that_no_vendor_claims_is_unknown(name: str) -> None:
    assert match_model(name) is None


def test_a_match_names_an_entry_that_the_rows_price_as_the_package_does() -> None:
    tokens = {"input": 900, "cache_read": 90, "cache_write": 0, "output": 50}
    at = datetime(2026, 4, 21, 12, tzinfo=UTC)
    for name, provider_id, model in [
        ("azure/DeepSeek-V3.2", "azure", "DeepSeek-V3.2"),
        ("openai/gpt-5", "openai", "gpt-5"),
        ("gemini-2.5-pro", "google", "gemini-2.5-pro"),
    ]:
        found = match_model(name)
        assert found is not None
        rows = [
            row
            for row in list_prices()
            if (row.provider, row.price_model) == (found.provider, found.price_model)
        ]
        package = calc_price(
            usage(tokens), model, provider_id=provider_id, genai_request_timestamp=at
        )
        assert cost(rows, at, tokens) == package.total_price
