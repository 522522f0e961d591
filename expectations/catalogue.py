"""All checks, without the engine that evaluates them."""

from expectations import (
    conservation,
    credit_ledger,
    daily_sums,
    facts,
    loads,
    raw_events,
    trends,
)
from expectations.check import Check

CHECKS: tuple[Check, ...] = (
    *raw_events.CHECKS,
    *loads.CHECKS,
    *facts.CHECKS,
    *daily_sums.CHECKS,
    *conservation.CHECKS,
    *trends.CHECKS,
    *credit_ledger.CHECKS,
)
