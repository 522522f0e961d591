"""Checks on the daily sums."""

from expectations.check import Check, Suite, any_blank, any_negative, any_null
from expectations.vocabulary import CATEGORIES, TOKENS

_KEY = ("usage_date_utc", "usage_date", "account_id", "agent_id", "category", "model", "status")

_daily = Suite("daily_sums", ("fct_usage_daily",), "fct_usage_daily")

CHECKS: tuple[Check, ...] = (
    _daily.unique(
        "daily_rows_are_unique",
        "A UTC day, account's day, account, agent, category, model and status is one row.",
        _KEY,
    ),
    _daily.none_where(
        "daily_required_fields_are_filled",
        "Every sum names its days, account, agent and model.",
        any_blank(("account_id", "agent_id", "model"))
        + " or "
        + any_null(("usage_date_utc", "usage_date", "events")),
        (*_KEY, "events"),
    ),
    _daily.in_set(
        "daily_categories_are_known",
        "The category of a sum is one of the eight.",
        "category",
        CATEGORIES,
    ),
    _daily.none_where(
        "daily_counts_are_plausible",
        "A sum is of one event at least; failed, unrated and unpriced ones are part of them.",
        "events < 1"
        " or failed_events not between 0 and events"
        " or unrated_events not between 0 and events"
        " or unpriced_events not between 0 and events",
        (*_KEY, "events", "failed_events", "unrated_events", "unpriced_events"),
    ),
    _daily.between("daily_credits_are_not_negative", "No sum is below zero.", "credits", 0),
    _daily.none_where(
        "daily_quantities_are_not_negative",
        "Tokens, execution time, exposure and provider cost of a sum are not below zero.",
        any_negative(
            (*TOKENS, "execution_ms", "exposure_low_credits", "provider_cost_usd"),
        ),
        (*_KEY, *TOKENS, "execution_ms"),
    ),
    _daily.none_where(
        "daily_times_lie_in_their_day",
        "First and last event of a sum lie in its UTC day, in that order.",
        "cast(first_occurred_at as date) <> usage_date_utc"
        " or cast(last_occurred_at as date) <> usage_date_utc"
        " or last_occurred_at < first_occurred_at",
        (*_KEY, "first_occurred_at", "last_occurred_at"),
    ),
)
