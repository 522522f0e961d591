"""Packages, purchases and lots of the account that was entered; the store is asked for no other."""

import secrets
from datetime import UTC, datetime

from app.deeds import START_PURCHASE
from app.gate import AccountReader
from app.payments import RETURN_PATH
from billing.accounts import get_account
from billing.gateways import gateway_for
from billing.grants import list_lots
from billing.lots import Lot
from billing.packages import Offer, list_offers
from billing.purchases import Purchase, purchase_history, start_purchase
from billing.store import Store
from warehouse.settings import Settings


def packages_of(reader: AccountReader) -> list[Offer]:
    """What the account can buy now, in the currency in which it pays, the cheapest first."""

    def offers(store: Store, account_id: str) -> list[Offer]:
        now = datetime.now(UTC)
        currency = get_account(store, account_id, now=now).current.currency
        return list_offers(store, currency, now=now)

    return reader.ask_store(offers)


def purchases_of(reader: AccountReader) -> list[Purchase]:
    """The account's purchases, the newest first."""
    return reader.ask_store(purchase_history)


def lots_of(reader: AccountReader) -> dict[int, Lot]:
    """The account's lots as they were granted, by id."""
    return {lot.grant_id: lot for lot in reader.ask_store(list_lots)}


def new_key() -> str:
    """A key for one wish to buy: however often it is sent, it is one purchase."""
    return secrets.token_urlsafe(24)


def begin(reader: AccountReader, settings: Settings, offer_id: int, key: str) -> str:
    """Start a purchase and return where it is paid.

    Raises MeterhouseError as ``start_purchase`` does, and where payments are off.
    """
    gateway = gateway_for(settings)
    return_url = f"{settings.public_url}{RETURN_PATH}"
    return reader.do(
        START_PURCHASE,
        lambda store, account_id: start_purchase(
            store, gateway, account_id, offer_id, key, return_url
        ),
        offer=offer_id,
    )
