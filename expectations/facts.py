"""Checks on the facts: one row a current usage event, rated."""

from expectations.check import Check, Suite, any_blank, any_negative, any_null
from expectations.vocabulary import (
    CATEGORIES,
    PROVIDER_COST_STATUSES,
    RATING_STATUSES,
    STATUSES,
    TOKENS,
)

_EVENT = ("source", "event_id")
_RATING = (*_EVENT, "rating_status", "logged_credits", "card_credits", "credits")

_facts = Suite("facts", ("fct_usage",), "fct_usage")

CHECKS: tuple[Check, ...] = (
    _facts.unique("fact_events_are_unique", "An event is one row.", _EVENT),
    _facts.none_where(
        "fact_required_fields_are_filled",
        "Who used what and when is known of every event; a model may be '(none)', never null.",
        any_blank((*_EVENT, "account_id", "agent_id", "model"))
        + " or "
        + any_null(("revision", "load_id", "occurred_at", "usage_date_utc", "usage_date")),
        (*_EVENT, "account_id", "agent_id", "model", "occurred_at", "usage_date"),
    ),
    _facts.in_set(
        "fact_categories_are_known",
        "The category of an event is one of the eight.",
        "category",
        CATEGORIES,
    ),
    _facts.in_set(
        "fact_statuses_are_known",
        "An operation ended ok, with an error or cancelled.",
        "status",
        STATUSES,
    ),
    _facts.in_set(
        "fact_rating_statuses_are_known",
        "Credits were logged, rated by the card, nil for a failed operation, or are missing.",
        "rating_status",
        RATING_STATUSES,
    ),
    _facts.in_set(
        "fact_provider_cost_statuses_are_known",
        "The provider's cost is priced, or the reason why it is not is one of three.",
        "provider_cost_status",
        PROVIDER_COST_STATUSES,
    ),
    _facts.between(
        "fact_credits_are_not_negative",
        "An operation costs nothing or something, it pays nothing back.",
        "credits",
        0,
    ),
    _facts.none_where(
        "fact_quantities_are_not_negative",
        "Tokens, execution time and provider cost of an event are not below zero.",
        any_negative((*TOKENS, "execution_ms", "provider_cost_usd")),
        (*_EVENT, *TOKENS, "execution_ms", "provider_cost_usd"),
    ),
    _facts.none_where(
        "fact_credits_follow_their_rating",
        "Credits are those logged, else those of the rate card, else nil for a failed operation;"
        " only unrated usage has none.",
        "credits is distinct from case rating_status"
        " when 'logged' then logged_credits"
        " when 'rated' then card_credits"
        " when 'failed' then 0"
        " when 'unrated' then null"
        " else credits end"
        " or (rating_status <> 'unrated' and credits is null)",
        _RATING,
    ),
    _facts.none_where(
        "fact_exposure_is_of_unrated_usage",
        "Unrated usage, and no other, is worth something between two bounds in their order.",
        "(rating_status = 'unrated') <> (exposure_low_credits is not null)"
        " or (rating_status <> 'unrated' and exposure_high_credits is not null)"
        " or exposure_low_credits < 0"
        " or exposure_high_credits < exposure_low_credits",
        (*_EVENT, "rating_status", "exposure_low_credits", "exposure_high_credits"),
    ),
    _facts.none_where(
        "fact_provider_cost_is_of_priced_usage",
        "Priced usage, and no other, has a provider cost: what is unknown does not cost nothing.",
        "(provider_cost_status = 'priced') <> (provider_cost_usd is not null)"
        " and provider_cost_status in ('priced', 'unknown_model', 'no_price')",
        (*_EVENT, "model", "provider_cost_status", "provider_cost_usd"),
    ),
    _facts.none_where(
        "fact_days_are_the_days_of_the_events",
        "The UTC day is that of the event, the account's day at most one day off.",
        "usage_date_utc <> cast(occurred_at as date)"
        " or abs(date_diff('day', usage_date_utc, usage_date)) > 1",
        (*_EVENT, "occurred_at", "usage_date_utc", "usage_date"),
    ),
    _facts.no_rows(
        "fact_batches_are_pinned",
        "No event is of a batch newer than the one the refresh was pinned at.",
        "select source, event_id, load_id from {batch}"
        " where load_id > (select raw_load_id from checked_state)",
    ),
)
