"""Enforced budgets: whether a limit is reached, over settled and pending usage."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.accounts import get_account
from billing.alerts.figures import PARTS, used
from billing.alerts.judging import local_day, midnight
from billing.budgets.budget import Budget, Period, period_of
from billing.budgets.stored import list_budgets
from billing.live_usage import Lake, read_pending
from billing.store import Store


@dataclass(frozen=True)
class Limit:
    """An enforced budget in the period that runs. Amounts are credits.

    ``used`` is settled, ``pending`` comes on top; once both together reach the limit nothing more
    is allowed.
    """

    budget: Budget
    period: Period
    used: Decimal
    pending: Decimal

    @property
    def is_allowed(self) -> bool:
        """Whether there is room below the limit."""
        return self.used + self.pending < self.budget.limit_amount


def limits_of(lake: Lake, store: Store, account_id: str, now: datetime) -> list[Limit]:
    """The enforced budgets of an account at ``now`` (aware)."""
    enforced = [budget for budget in list_budgets(store, account_id) if budget.is_enforced]
    if not enforced:
        return []
    zone = get_account(store, account_id, now=now).current.time_zone
    asks = [(budget, period_of(budget, local_day(now, zone))) for budget in enforced]
    publication = lake.publication()
    settled = (
        [each.amount for each in used(lake, publication, asks)]
        if publication
        else [Decimal(0)] * len(asks)
    )
    return [
        Limit(
            budget,
            period,
            amount,
            read_pending(
                lake,
                publication,
                account_id,
                midnight(period.first, zone),
                midnight(period.until, zone),
                None if budget.part is None else (PARTS[budget.scope], budget.part),
            ),
        )
        for (budget, period), amount in zip(asks, settled, strict=True)
    ]
