"""Checks between the layers: what was loaded = the facts = the daily sums, to the last digit.

They look at one row an account and UTC day with the sums of the three layers.
"""

from expectations.check import Check, Suite, any_different
from expectations.vocabulary import TOKENS

_KEY = ("usage_date_utc", "account_id")

_facts = Suite("conservation", ("fct_usage",), "layer_sum")
_daily = Suite("conservation", ("fct_usage_daily",), "layer_sum")


def _conserved(
    suite: Suite, name: str, description: str, left: str, right: str, *measures: str
) -> Check:
    pairs = [(f"{left}_{measure}", f"{right}_{measure}") for measure in measures]
    shown = [column for pair in pairs for column in pair]
    return suite.none_where(name, description, any_different(pairs), (*_KEY, *shown))


CHECKS: tuple[Check, ...] = (
    _conserved(
        _facts,
        "raw_events_are_facts",
        "Every current event is a fact, and every fact a current event.",
        "raw",
        "fact",
        "events",
    ),
    _conserved(
        _facts,
        "raw_credits_are_facts",
        "The credits in the logs are the logged credits of the facts.",
        "raw",
        "fact",
        "logged_credits",
    ),
    _conserved(
        _facts,
        "raw_tokens_are_facts",
        "The tokens in the logs, each kind for itself, are those of the facts.",
        "raw",
        "fact",
        *TOKENS,
    ),
    _conserved(
        _daily,
        "fact_events_are_daily_sums",
        "Events, and failed and unrated ones, are the same in facts and daily sums.",
        "fact",
        "daily",
        "events",
        "failed_events",
        "unrated_events",
    ),
    _conserved(
        _daily,
        "fact_credits_are_daily_sums",
        "Credits, those logged and those of the rate card are the same in facts and daily sums.",
        "fact",
        "daily",
        "credits",
        "logged_credits",
        "card_credits",
    ),
    _conserved(
        _daily,
        "fact_tokens_are_daily_sums",
        "Tokens, each kind for itself, are the same in facts and daily sums.",
        "fact",
        "daily",
        *TOKENS,
    ),
    _conserved(
        _daily,
        "fact_costs_are_daily_sums",
        "Provider cost, execution time and exposure are the same in facts and daily sums.",
        "fact",
        "daily",
        "provider_cost_usd",
        "execution_ms",
        "exposure_low_credits",
        "exposure_high_credits",
    ),
)
