"""What an account has now: settled and pending usage burnt down against the stored grants.

Settled usage comes from the marts at the published snapshot, already summed up between the instants
at which a lot begins or ends; pending usage from the raw rows above the published batch. Both are
burnt down against the grants of the operational store, so a purchase shows at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from billing.store import Store
from warehouse.publication import Publication


class Lake(Protocol):
    """Answers queries at a publication, or at the head without one."""

    def publication(self) -> Publication | None:
        """The published pointer, or None before the first publication."""

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        *,
        publication: Publication | None = None,
    ) -> list[tuple[Any, ...]]:
        """The rows of a query with named parameters."""


@dataclass(frozen=True)
class LotPosition:
    """A stored lot as it stands now. Amounts are credits; times are aware.

    ``status`` is scheduled | active | exhausted | expired | voided.
    """

    grant_id: int
    kind: str
    priority: int
    granted: Decimal
    consumed: Decimal
    forfeited: Decimal
    remaining: Decimal
    effective_at: datetime
    expires_at: datetime | None
    status: str
    reason: str


@dataclass(frozen=True)
class CreditPosition:
    """The credits of an account at an instant.

    ``balance`` is what is left in active lots minus the overage that no lot has paid yet, over
    settled and pending usage; ``settled_balance`` is the same over settled usage only, and
    ``pending`` what pending usage takes from it (balance = settled_balance - pending).
    Pending usage without credits (``pending_unrated_events``) is in no sum. ``runway_days`` is
    how many days the lots last if usage goes on at ``daily_pace`` (credits a day, by weekday
    medians): 0 when nothing is left, None without usage or when they outlast ``RUNWAY_LIMIT``.
    """

    account_id: str
    at: datetime
    balance: Decimal
    settled_balance: Decimal
    pending: Decimal
    pending_events: int
    pending_unrated_events: int
    remaining: Decimal
    overage: Decimal
    lots: tuple[LotPosition, ...]
    daily_pace: Decimal | None
    runway_days: int | None
    settled_until: datetime | None


def credit_position(lake: Lake, store: Store, account_id: str, now: datetime) -> CreditPosition:
    """What ``account_id`` has at ``now`` (aware).

    Raises MeterhouseError for an account that is not in the store.
    """
    raise NotImplementedError
