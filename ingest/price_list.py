"""Reads the providers' list prices out of the package ``genai-prices``. Pure functions.

The package prices a request by the last of a model's price entries whose condition holds, a
start date or a time of day. Here that becomes flat rows: of a model and a kind of token, the
rows of the latest ``effective_from`` not after the request cover the whole day, without gap or
overlap, and of those the greatest ``tier_start`` not above the prompt's tokens holds. Tests
hold this to the package's own arithmetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import NamedTuple

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

TOKEN_KINDS = ("input", "cache_read", "cache_write", "output")

_BEGINNING = date(1970, 1, 1)
_MIDNIGHT = timedelta(0)
_DAY_END = timedelta(days=1)
_USD_SCALE = Decimal("1e-12")


class PriceRow(NamedTuple):
    """USD per million tokens of a kind, from a time on, in a part of the day, from a tier on.

    ``effective_from`` is UTC midnight of a day, 1970-01-01 where the list names no start.
    ``day_start`` and ``day_end`` (exclusive) are offsets from UTC midnight, both None for all
    day; a part of the day never crosses midnight, and of one model the parts are the same for
    every start. ``tier_start`` is the number of prompt tokens (input and cached) from which the
    price holds for all tokens of the request.
    """

    provider: str
    price_model: str
    token_kind: str
    usd_per_mtok: Decimal
    effective_from: date
    day_start: timedelta | None
    day_end: timedelta | None
    tier_start: int


@dataclass(frozen=True)
class Match:
    """Where a model's price stands in the list: the provider and id of its entry, its name."""

    provider: str
    price_model: str
    model_name: str


def release() -> str:
    """The installed release of the price list."""
    return version("genai-prices")


def list_prices() -> list[PriceRow]:
    """Every list price of the installed release."""
    return [
        row
        for provider in get_snapshot().providers
        for model in provider.models
        for row in model_prices(provider.id, model)
    ]


def model_prices(provider: str, model: ModelInfo) -> Iterator[PriceRow]:
    """The prices of one model, flat.

    Cached tokens without a price of their own cost what input costs, as the package has it. A
    model that is listed without token prices has no rows: what it costs is not known here.
    """
    for effective_from, day_start, day_end, prices in _schedule(model):
        own = {kind: getattr(prices, f"{kind}_mtok") for kind in TOKEN_KINDS}
        for kind in ("cache_read", "cache_write"):
            own[kind] = own["input"] if own[kind] is None else own[kind]
        for kind, price in own.items():
            for tier_start, usd in _tiers(price):
                yield PriceRow(
                    provider=provider,
                    price_model=model.id,
                    token_kind=kind,
                    usd_per_mtok=usd.quantize(_USD_SCALE, rounding=ROUND_HALF_UP),
                    effective_from=effective_from,
                    day_start=day_start,
                    day_end=day_end,
                    tier_start=tier_start,
                )


def match_model(name: str) -> Match | None:
    """The entry of the price list that ``name``, as a log has it, stands for; None if unknown.

    ``provider/model`` is looked up at that provider (which may refer to the model's vendor);
    failing that, and for a bare name, at the vendor whose models are called so; failing that,
    without the prefix, since a gateway's name says nothing of the price. Nothing is guessed:
    a name that no vendor claims is unknown.
    """
    snapshot = get_snapshot()
    rest = name.strip()
    while rest:
        prefix, slash, tail = rest.partition("/")
        provider = find_provider_by_id(snapshot.providers, prefix) if slash and prefix else None
        found = provider.find_model(tail, all_providers=snapshot.providers) if provider else None
        found = found or _vendors_model(snapshot, rest)
        if found:
            return Match(_owners()[id(found)].id, found.id, found.name or found.id)
        rest = tail
    return None


def _vendors_model(snapshot: DataSnapshot, name: str) -> ModelInfo | None:
    try:
        return snapshot.find_provider_model(name, None, None, None)[1]
    except LookupError:
        return None


@cache
def _owners() -> dict[int, Provider]:
    """The provider in whose list each model stands: a provider's lookup may answer another's."""
    return {
        id(model): provider for provider in get_snapshot().providers for model in provider.models
    }


def _schedule(
    model: ModelInfo,
) -> Iterator[tuple[date, timedelta | None, timedelta | None, ModelPrice]]:
    """The model's prices from each start date on, by part of the day where that matters."""
    if isinstance(model.prices, ModelPrice):
        yield _BEGINNING, None, None, model.prices
        return
    constraints = [entry.constraint for entry in model.prices]
    starts = {c.start_date for c in constraints if isinstance(c, StartDateConstraint)}
    cuts = {_MIDNIGHT} | {
        _since_midnight(cut)
        for c in constraints
        if isinstance(c, TimeOfDateConstraint)
        for cut in (c.start_time, c.end_time)
    }
    # The same parts of the day for every start, so that a part's price ends where the next begins.
    edges = sorted(cuts)
    parts: list[tuple[timedelta | None, timedelta | None]] = (
        [(None, None)] if len(edges) == 1 else list(pairwise([*edges, _DAY_END]))
    )
    for start in sorted({_BEGINNING} | {max(start, _BEGINNING) for start in starts}):
        midnight = datetime.combine(start, time(), UTC)
        for day_start, day_end in parts:
            yield start, day_start, day_end, model.get_prices(midnight + (day_start or _MIDNIGHT))


def _since_midnight(moment: time) -> timedelta:
    """A time of day in UTC, as the time since midnight; without a zone it is UTC already."""
    if moment.tzinfo is not None:
        moment = datetime.combine(_BEGINNING, moment).astimezone(UTC).time()
    return datetime.combine(_BEGINNING, moment.replace(tzinfo=None)) - datetime.combine(
        _BEGINNING, time()
    )


def _tiers(price: Decimal | TieredPrices | None) -> list[tuple[int, Decimal]]:
    """Prompt tokens from which a price holds, and the price. The list's own tiers begin above."""
    if price is None:
        return []
    if isinstance(price, Decimal):
        return [(0, price)]
    return [(0, price.base), *((tier.start + 1, tier.price) for tier in price.tiers)]
