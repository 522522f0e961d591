"""Credit packages: what can be bought, at which price, dated.

An offer is never changed. Of one package and currency the offer with the latest start that has
begun counts, of equal starts the one recorded last; withdrawing records an offer that is none.
A purchase copies the offer it was made on, so a later price changes nothing that was bought.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing import validation
from billing.money import MOST_MINOR
from billing.schema import credit_package
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LONGEST_VALIDITY = 36_500


@dataclass(frozen=True)
class Offer:
    """A package at a price in minor units of ``currency``.

    ``bonus_credits`` come on top without cash (0 for none). Validities are in days of the
    account's calendar, None for credits that never expire. ``offer_id`` is 0 before it is stored.
    """

    package_id: str
    name: str
    credits: Decimal
    bonus_credits: Decimal
    currency: str
    price_minor: int
    validity_days: int | None
    bonus_validity_days: int | None
    is_offered: bool
    effective_from: datetime
    offer_id: int = 0


def make_offer(
    package_id: str,
    *,
    name: str,
    credits: str | Decimal,
    currency: str,
    price_minor: int,
    effective_from: datetime,
    bonus_credits: str | Decimal = Decimal(0),
    validity_days: int | None = None,
    bonus_validity_days: int | None = None,
) -> Offer:
    """A valid offer that is not stored yet. Raises MeterhouseError for what cannot be one."""
    if not _ID.fullmatch(package_id):
        raise MeterhouseError(
            f"{package_id!a} cannot be a package's id: it must have 1 to 64 small letters, digits "
            "and any of _ -, and begin with a letter or digit"
        )
    if not 0 < price_minor < MOST_MINOR:
        raise MeterhouseError(
            "a package's price must be above 0; give credits away with `meterhouse credits grant`"
        )
    for days in (validity_days, bonus_validity_days):
        if days is not None and not 1 <= days <= _LONGEST_VALIDITY:
            raise MeterhouseError(f"a validity has 1 to {_LONGEST_VALIDITY:,} days, not {days}")
    bonus = validation.exact_decimal(bonus_credits, "an amount of credits", decimals=9)
    if bonus < 0:
        raise MeterhouseError(f"bonus credits cannot be negative: {bonus_credits}")
    return Offer(
        package_id=package_id,
        name=validation.line("package's name", name, 200),
        credits=validation.credits(credits),
        bonus_credits=bonus,
        currency=validation.currency(currency),
        price_minor=price_minor,
        validity_days=validity_days,
        bonus_validity_days=bonus_validity_days,
        is_offered=True,
        effective_from=effective_from,
    )


def offered(offers: list[Offer], moment: datetime) -> list[Offer]:
    """Which of all stored offers can be bought at ``moment``, the cheapest of a currency first."""
    latest: dict[tuple[str, str], Offer] = {}
    for offer in sorted(offers, key=lambda offer: (offer.effective_from, offer.offer_id)):
        if offer.effective_from <= moment:
            latest[offer.package_id, offer.currency] = offer
    found = [offer for offer in latest.values() if offer.is_offered]
    return sorted(found, key=lambda offer: (offer.currency, offer.price_minor, offer.package_id))


def add_offer(
    store: Store, offer: Offer, *, actor: str | None = None, now: datetime | None = None
) -> Offer:
    """Offer a package, new or at new conditions; returns it as stored.

    Nothing is stored when the same is offered from then on already. Raises MeterhouseError for a
    start in the past: what was offered then is known.
    """
    at = now or datetime.now(UTC)
    if offer.effective_from < at:
        raise MeterhouseError(
            f"an offer cannot start in the past ({offer.effective_from:%Y-%m-%d %H:%M} UTC); "
            "leave the start out for now"
        )
    with store.writing() as connection:
        for standing in offered(_offers(connection), offer.effective_from):
            same = replace(standing, effective_from=offer.effective_from, offer_id=0)
            if same == replace(offer, offer_id=0):
                return standing
        return _insert(connection, offer, actor or current_user(), at)


def withdraw_offer(
    store: Store,
    package_id: str,
    currency: str | None = None,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> list[Offer]:
    """Stop offering a package from now on, in one currency or in all; returns what was withdrawn.

    Offers recorded for later are withdrawn too. Raises MeterhouseError when it is not offered.
    """
    at = now or datetime.now(UTC)
    code = validation.currency(currency) if currency else None
    with store.writing() as connection:
        stored = [
            offer
            for offer in _offers(connection)
            if offer.package_id == package_id and code in (None, offer.currency)
        ]
        withdrawn = []
        starts = sorted({at} | {o.effective_from for o in stored if o.effective_from > at})
        for start in starts:
            for offer in offered(stored, start):
                none = replace(offer, is_offered=False, effective_from=start)
                stored.append(_insert(connection, none, actor or current_user(), at))
                withdrawn.append(offer)
    if not withdrawn:
        where = f" in {code}" if code else ""
        raise MeterhouseError(
            f"the package {package_id} is not offered{where}; "
            "`meterhouse credits packages list` shows what is"
        )
    return withdrawn


def list_offers(
    store: Store, currency: str | None = None, *, now: datetime | None = None
) -> list[Offer]:
    """What can be bought now, in one currency or in all, the cheapest of a currency first."""
    at = now or datetime.now(UTC)
    code = validation.currency(currency) if currency else None
    with store.reading() as connection:
        found = offered(_offers(connection), at)
    return [offer for offer in found if code in (None, offer.currency)]


def all_offers(store: Store) -> list[Offer]:
    """Every offer that was recorded, in that order."""
    with store.reading() as connection:
        return _offers(connection)


def find_offer(connection: sa.Connection, offer_id: int, moment: datetime) -> Offer:
    """An offer that can be bought at ``moment``. Raises MeterhouseError when it cannot."""
    for offer in offered(_offers(connection), moment):
        if offer.offer_id == offer_id:
            return offer
    raise MeterhouseError("this package is not offered any more at these conditions; choose again")


SAMPLE_PRICES = {
    "AUD": (3_000, 13_500, 48_000),
    "BRL": (10_900, 49_000, 175_000),
    "CAD": (2_700, 12_000, 43_000),
    "EUR": (1_900, 8_500, 30_000),
    "GBP": (1_600, 7_200, 26_000),
    "INR": (169_000, 759_000, 2_690_000),
    "JPY": (3_000, 13_500, 48_000),
    "NPR": (269_000, 1_199_000, 4_290_000),
    "NZD": (3_300, 14_900, 53_000),
    "USD": (2_000, 9_000, 32_000),
}
"""Prices of the sample's three packages in minor units, by currency."""

_SAMPLE = (
    ("starter", "Starter", 2_000, 0, 365, None),
    ("team", "Team", 10_000, 500, 365, 90),
    ("scale", "Scale", 40_000, 4_000, 730, 180),
)


def add_sample_offers(store: Store, currencies: set[str], *, now: datetime | None = None) -> int:
    """Offer the sample's packages in those of ``currencies`` that have prices; how many were new.

    Where any package was ever recorded, nothing is: the platform has its own.
    """
    at = now or datetime.now(UTC)
    if all_offers(store):
        return 0
    count = 0
    for currency in sorted(currencies & set(SAMPLE_PRICES)):
        for price, (package_id, name, amount, bonus, days, bonus_days) in zip(
            SAMPLE_PRICES[currency], _SAMPLE, strict=True
        ):
            offer = make_offer(
                package_id,
                name=name,
                credits=Decimal(amount),
                bonus_credits=Decimal(bonus),
                currency=currency,
                price_minor=price,
                validity_days=days,
                bonus_validity_days=bonus_days,
                effective_from=at,
            )
            add_offer(store, offer, actor="meterhouse sample", now=at)
            count += 1
    return count


def _offers(connection: sa.Connection) -> list[Offer]:
    query = sa.select(credit_package).order_by(credit_package.c.offer_id)
    return [_offer(row) for row in connection.execute(query)]


def _insert(connection: sa.Connection, offer: Offer, who: str, at: datetime) -> Offer:
    values = {column: getattr(offer, column) for column in _COLUMNS}
    row = connection.execute(
        sa.insert(credit_package).returning(credit_package),
        {**values, "recorded_at": at, "recorded_by": who},
    ).one()
    return _offer(row)


_COLUMNS = tuple(name for name in Offer.__dataclass_fields__ if name != "offer_id")


def _offer(row: sa.Row[Any]) -> Offer:
    return Offer(
        **{column: getattr(row, column) for column in _COLUMNS},
        offer_id=row.offer_id,
    )
