"""The rate card in the operational store: adding, importing and listing rates."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from billing.rate_card import Rate, parse_csv, rates_to_add
from billing.schema import rate as rate_table
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

SAMPLE_RATES = Path(__file__).resolve().parent / "sample_rates.csv"


@dataclass(frozen=True)
class RatesAdded:
    """The rates that were recorded, and how many stood already as given."""

    added: tuple[Rate, ...]
    unchanged: int


def add_rates(
    store: Store,
    rates: Iterable[Rate],
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> RatesAdded:
    """Record rates together, all or none; those that stand already as given are passed over.

    Raises MeterhouseError when one starts in the past where a rate applied, and says from when
    it may start.
    """
    who, given = actor or current_user(), list(rates)
    with store.writing() as connection:
        at = now or datetime.now(UTC)
        new = rates_to_add(_rates(connection), given, at)
        if new:
            ids = connection.scalars(
                sa.insert(rate_table).returning(rate_table.c.rate_id, sort_by_parameter_order=True),
                [
                    {
                        "category": rate.category,
                        "model": rate.model,
                        "unit": rate.unit,
                        "credits_per_unit": rate.credits_per_unit,
                        "effective_from": rate.effective_from,
                        "recorded_at": at,
                        "recorded_by": who,
                    }
                    for rate in new
                ],
            )
            new = [replace(rate, rate_id=rate_id) for rate, rate_id in zip(new, ids, strict=True)]
    return RatesAdded(tuple(new), len(given) - len(new))


def import_rates(
    store: Store, file: Path, *, actor: str | None = None, now: datetime | None = None
) -> RatesAdded:
    """Record the rates of a CSV file, all or none.

    Raises MeterhouseError when the file cannot be read or a row of it cannot be added.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MeterhouseError(f"{file} cannot be read as UTF-8 text: {error}") from error
    try:
        return add_rates(store, parse_csv(text), actor=actor, now=now)
    except MeterhouseError as error:
        raise MeterhouseError(f"{file}: {error}") from error


def add_sample_rates(store: Store, *, now: datetime | None = None) -> RatesAdded:
    """Record the sample platform's rate card; running it again changes nothing.

    Where the store has rates of another card already, that one is left alone.
    """
    own = {(*rate.key, rate.effective_from) for rate in list_rates(store)}
    sample = {(*rate.key, rate.effective_from) for rate in parse_csv(SAMPLE_RATES.read_text())}
    if own - sample:
        return RatesAdded((), 0)
    return import_rates(store, SAMPLE_RATES, actor="meterhouse sample", now=now)


def list_rates(store: Store) -> list[Rate]:
    """Every rate ever recorded, by category, model (the category's own first), unit and start."""
    with store.reading() as connection:
        rates = _rates(connection)
    return sorted(
        rates,
        key=lambda rate: (
            rate.category,
            rate.model or "",
            rate.unit,
            rate.effective_from,
            rate.rate_id,
        ),
    )


def _rates(connection: sa.Connection) -> list[Rate]:
    rows = connection.execute(sa.select(rate_table).order_by(rate_table.c.rate_id))
    return [
        Rate(
            category=row.category,
            model=row.model,
            unit=row.unit,
            credits_per_unit=row.credits_per_unit,
            effective_from=row.effective_from,
            rate_id=row.rate_id,
        )
        for row in rows
    ]
