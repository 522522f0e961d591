"""Budgets of the sample's accounts: some of them have one, so that the page has something to show.

Limits follow from what an account used; the same sample gives the same budgets. Thresholds are few,
so that a first look at the sample writes few mails.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from billing.budgets.budget import Budget, make_budget
from billing.budgets.stored import add_budget, list_budgets
from billing.store import Store

EVERY = 3
"""Every so manieth account has budgets."""

_MONTH = 30
_SHARES = (Decimal("1.1"), Decimal("1.4"))
"""Limits of a month ÷ what the account used in an average one."""


def sample_budgets(used: Mapping[str, Decimal], days: int) -> list[Budget]:
    """Budgets of accounts that used so many credits in so many days."""
    made = []
    for number, account_id in enumerate(sorted(used)[::EVERY]):
        monthly = used[account_id] * _MONTH / days
        limit = _round(monthly * _SHARES[number % len(_SHARES)])
        if limit <= 0:
            continue
        made.append(
            make_budget(
                account_id,
                name="Month",
                limit=limit,
                actual_percents=[80, 100],
                projected_percents=[100],
            )
        )
        made.append(
            make_budget(
                account_id,
                name="Language models",
                limit=_round(limit / 2),
                scope="category",
                part="llm",
                actual_percents=[100],
                projected_percents=[],
            )
        )
    return made


def add_sample_budgets(store: Store, budgets: Sequence[Budget]) -> int:
    """Add budgets to accounts that have none of their name; how many were new."""
    known = {(each.account_id, each.name) for each in list_budgets(store)}
    new = [each for each in budgets if (each.account_id, each.name) not in known]
    for each in new:
        add_budget(store, each, actor="meterhouse sample")
    return len(new)


def _round(amount: Decimal) -> Decimal:
    """Two leading digits, as people set limits."""
    if amount <= 0:
        return Decimal(0)
    return Decimal(f"{amount:.1e}").quantize(Decimal(1)) if amount >= 10 else round(amount, 1)
