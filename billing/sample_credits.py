"""Lots of credits for the sample's accounts, so that they have balances worth looking at.

Made from what the sample's usage adds up to: most accounts stay ahead of their usage, one is nearly
empty and one has used more than it had; some have a promotion that expires soon and an adjustment.
Postpaid accounts have none. The same sample gives the
same lots.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from billing.currencies import MINOR_DIGITS
from billing.grants import grant
from billing.packages import SAMPLE_PRICES
from billing.store import Store

SHARES = tuple(map(Decimal, ("1.09", "1.04", "1.12", "1.005", "1.07", "0.98", "1.2")))
"""Credits granted ÷ credits used up to the sample's end, account by account."""

PROMOTED = 4
"""Every so manieth account has a promotion: a twentieth of its usage, for twelve days that are not
over yet, more than it uses up in them. The account after it has an adjustment."""

_LOTS = 5
_VALID = timedelta(days=365)
_PACKAGE = Decimal(10_000)
"""Credits of the package whose price the lots have."""


@dataclass(frozen=True)
class SampleLot:
    """A lot to grant. ``paid_minor`` is cash in minor units, None for a gift."""

    account_id: str
    reference: str
    kind: str
    credits: Decimal
    effective_at: datetime
    expires_at: datetime | None
    reason: str
    paid_minor: int | None = None
    currency: str | None = None


def sample_overage_price(plan: str, currency: str) -> str | None:
    """What a credit beyond the lots costs on plans that sell it: a fifth more than in a package."""
    if plan == "prepaid" or currency not in SAMPLE_PRICES:
        return None
    price = Decimal(SAMPLE_PRICES[currency][1]).scaleb(-MINOR_DIGITS[currency]) / _PACKAGE
    return f"{(price * Decimal('1.2')).normalize():f}"


def sample_lots(
    used: Mapping[str, Decimal], currencies: Mapping[str, str], first: datetime, until: datetime
) -> list[SampleLot]:
    """Lots of accounts that used so many credits between ``first`` and ``until`` (both aware).

    Accounts are those of ``currencies``. Each gets a gift at the start and contracts in equal
    parts, the last of them well before the end.
    """
    lots = []
    step = (until - first) / _LOTS
    for number, account_id in enumerate(sorted(currencies)):
        total, currency = used.get(account_id, Decimal(0)), currencies[account_id]
        if total <= 0:
            continue
        gift = (total / 200).quantize(Decimal(1), ROUND_CEILING)
        share = ((total * SHARES[number % len(SHARES)] - gift) / _LOTS).quantize(Decimal(1))
        price = SAMPLE_PRICES.get(currency)
        lots.append(
            SampleLot(
                account_id,
                f"sample:{account_id}:gift",
                "promotional",
                gift,
                first,
                first + timedelta(days=90),
                "sample: welcome gift",
            )
        )
        if number % PROMOTED == 0:
            lots.append(
                SampleLot(
                    account_id,
                    f"sample:{account_id}:promotion",
                    "promotional",
                    (total / 20).quantize(Decimal(1), ROUND_CEILING),
                    until - timedelta(days=3),
                    until + timedelta(days=9),
                    "sample: promotion",
                )
            )
        if number % PROMOTED == 1:
            lots.append(
                SampleLot(
                    account_id,
                    f"sample:{account_id}:adjustment",
                    "adjustment",
                    (total / 1000).quantize(Decimal(1), ROUND_CEILING),
                    until - timedelta(days=12),
                    None,
                    "sample: credit for an outage",
                )
            )
        for part in range(_LOTS if share > 0 else 0):
            begins = first + part * step
            lots.append(
                SampleLot(
                    account_id,
                    f"sample:{account_id}:{part + 1}",
                    "purchased",
                    share,
                    begins,
                    begins + _VALID,
                    "sample: contract",
                    int(share * price[1] / _PACKAGE) if price else None,
                    currency if price else None,
                )
            )
    return lots


def grant_sample(store: Store, lots: Iterable[SampleLot]) -> int:
    """Grant lots that are not there yet, as on the day that they begin; how many were new."""
    return sum(
        grant(
            store,
            lot.account_id,
            lot.credits,
            reason=lot.reason,
            kind=lot.kind,
            effective_at=lot.effective_at,
            expires_at=lot.expires_at,
            paid_minor=lot.paid_minor,
            currency=lot.currency,
            reference=lot.reference,
            actor="meterhouse sample",
            now=lot.effective_at,
        ).is_new
        for lot in lots
    )
