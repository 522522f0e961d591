"""Checks on the accepted usage events as they were loaded."""

from expectations.check import Check, Suite, any_blank, any_negative
from expectations.vocabulary import CATEGORIES, STATUSES, TOKENS

_EVENT = ("source", "event_id", "revision")

_loaded = Suite("raw_events", ("raw", "usage_event"), "raw_event")
_current = Suite("raw_events", ("raw", "usage_event"), "raw_current_event")

CHECKS: tuple[Check, ...] = (
    _loaded.unique(
        "raw_revisions_are_unique",
        "An event has each of its revisions once.",
        _EVENT,
    ),
    _current.unique(
        "raw_events_are_current_once",
        "Of all revisions of an event one at most is current, so that nothing counts twice.",
        ("source", "event_id"),
    ),
    _loaded.none_where(
        "raw_required_fields_are_filled",
        "Source, event, account and agent of an event are known.",
        any_blank(("source", "event_id", "account_id", "agent_id")),
        (*_EVENT, "account_id", "agent_id"),
    ),
    _loaded.in_set(
        "raw_categories_are_known",
        "The category of an event is one of the eight.",
        "category",
        CATEGORIES,
    ),
    _loaded.in_set(
        "raw_statuses_are_known",
        "An operation ended ok, with an error or cancelled.",
        "status",
        STATUSES,
    ),
    _loaded.no_rows(
        "raw_times_are_plausible",
        "An event lies after 2000 and at most a day after the batch that brought it.",
        "select event.source, event.event_id, event.occurred_at, load.finished_at as loaded_at"
        " from {batch} as event left join raw.main.load as load on load.load_id = event.load_id"
        " where event.occurred_at < timestamp '2000-01-01'"
        " or event.occurred_at > load.finished_at + interval 1 day",
    ),
    _loaded.none_where(
        "raw_days_are_the_days_of_the_events",
        "An event lies in the partition of its UTC day.",
        "usage_date_utc <> cast(occurred_at as date)",
        (*_EVENT, "occurred_at", "usage_date_utc"),
    ),
    _loaded.between(
        "raw_credits_are_not_negative",
        "An operation costs nothing or something, it pays nothing back.",
        "credits",
        0,
    ),
    _loaded.none_where(
        "raw_quantities_are_not_negative",
        "Tokens, execution time and revision of an event are not below zero.",
        any_negative((*TOKENS, "execution_ms", "revision")),
        (*_EVENT, *TOKENS, "execution_ms"),
    ),
    _loaded.none_where(
        "raw_events_belong_to_a_load",
        "Every event names the audited batch that brought it.",
        "load_id not in (select load_id from raw.main.load)",
        (*_EVENT, "load_id"),
    ),
    _current.no_rows(
        "raw_accounts_are_declared",
        "Every account that used something is declared, so that its days and money are known.",
        "select account_id, count(*) as events from {batch} group by account_id"
        " having account_id not in (select account_id from declared_account)",
    ),
)
