"""Checks that warn: late, missing, unusual or unpriced usage. None of them blocks publishing."""

from expectations.check import Check, Suite

FRESH_HOURS = 36
"""Hours by which a source's newest event may lie before its last load."""

REJECTED_SHARE = "0.01"
"""Share of rejected rows below which nothing is said."""

_sources = Suite("trends", ("raw", "usage_event"), "source_state", "warn")
_gaps = Suite("trends", ("raw", "usage_event"), "source_gap", "warn")
_loads = Suite("trends", ("raw", "load"), "rejected_share", "warn")
_daily = Suite("trends", ("fct_usage_daily",), "daily_total", "warn")
_history = Suite("trends", ("fct_usage_daily",), "whole_fct_usage_daily", "warn")

CHECKS: tuple[Check, ...] = (
    _sources.none_where(
        "sources_are_fresh",
        f"The newest event of a source is at most {FRESH_HOURS} hours older than its last load.",
        f"newest_event_at < last_loaded_at - interval {FRESH_HOURS} hours",
        ("source", "newest_event_at", "last_loaded_at"),
    ),
    _gaps.none_where(
        "sources_have_no_missing_days",
        "No source is without any event on a day between two that have some (last five weeks).",
        "true",
        ("source", "missing_date"),
    ),
    _loads.none_where(
        "rejected_share_is_not_rising",
        "Of the last day's rows not twice the share is rejected as in the 30 days before.",
        f"recent_share > {REJECTED_SHARE} and recent_share > 2 * earlier_share",
        ("recent_share", "earlier_share", "recent_rejected", "recent_read"),
    ),
    _daily.none_where(
        "daily_totals_are_usual",
        "A day's total lies within the robust range of the same weekday of eight weeks.",
        "is_outlier",
        ("usage_date_utc", "credits", "median_credits", "low_credits", "high_credits"),
    ),
    _history.no_rows(
        "usage_is_rated",
        "No usage of any day is held back for want of a rate.",
        "select category, model, sum(unrated_events) as events from {batch}"
        " where unrated_events > 0 group by category, model"
        " order by events desc, category, model",
    ),
    _history.no_rows(
        "models_are_priced",
        "Every model that used tokens on any day has a known price.",
        "select model, sum(unpriced_events) as events from {batch}"
        " where unpriced_events > 0 group by model order by events desc, model",
    ),
)
