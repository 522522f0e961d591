"""Checks on the audit of the batches: nothing is lost on the way in."""

from expectations.check import Check, Suite

_COUNTS = ("load_id", "path", "rows_read", "rows_loaded", "rows_duplicate", "rows_rejected")

_loads = Suite("loads", ("raw", "load"), "load_audit")

CHECKS: tuple[Check, ...] = (
    _loads.unique("load_ids_are_unique", "A batch has an id of its own.", ("load_id",)),
    _loads.none_where(
        "load_rows_add_up",
        "Of a batch, rows read = loaded + duplicate + rejected.",
        "rows_read <> rows_loaded + rows_duplicate + rows_rejected",
        _COUNTS,
    ),
    _loads.none_where(
        "loaded_rows_are_events",
        "A batch left as many usage events as its audit says were loaded.",
        "event_rows <> case when brings_usage then rows_loaded else 0 end",
        (*_COUNTS, "event_rows"),
    ),
    _loads.none_where(
        "rejected_rows_are_in_quarantine",
        "A batch left as many rows in quarantine as its audit says were rejected.",
        "quarantine_rows <> case when brings_usage then rows_rejected else 0 end",
        (*_COUNTS, "quarantine_rows"),
    ),
)
