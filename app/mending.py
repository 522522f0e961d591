"""What each reason for rejecting a row means to the staff, and what mends it.

Commands stand between backticks.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mending:
    """A reason in words, and what to do about it."""

    title: str
    advice: str


REASONS: dict[str, Mending] = {
    "undeclared_account": Mending(
        "Account not declared",
        "Declare the account; its usage then flows in by itself.",
    ),
    "unreadable_line": Mending(
        "Unreadable line",
        "The line is not in the source's format. Mend it where it was written and load it again.",
    ),
    "truncated_line": Mending(
        "Line cut off",
        "The file ended within this line. Append the rest and load the file again.",
    ),
    "unreadable_file": Mending(
        "Unreadable file",
        "The file as a whole cannot be read. Write it again and load it again.",
    ),
    "failed_expression": Mending(
        "Expression failed",
        "An expression of the source's spec fails on this row. Mend the spec, then run "
        "`meterhouse replay`.",
    ),
    "missing_field": Mending(
        "Required field missing",
        "Mend the log, or name the field's expression in the source's spec.",
    ),
    "invalid_text": Mending(
        "Name or id unusable",
        "A name or id is an object, a list, or longer than 1,000 bytes. Mend the log.",
    ),
    "invalid_time": Mending(
        "Time unreadable",
        "`occurred_at` is no time. Mend the log, or the expression in the source's spec.",
    ),
    "time_out_of_range": Mending(
        "Time before 2000",
        "The clock of the log is wrong. Mend it and load the rows again.",
    ),
    "future_time": Mending(
        "Time in the future",
        "Replayed by itself once that time has come; if the clock was wrong, mend the log.",
    ),
    "unknown_category": Mending(
        "Unknown category",
        "Map the category in the source's spec, then run `meterhouse replay`.",
    ),
    "unknown_status": Mending(
        "Unknown status",
        "Map the status to ok, error or cancelled in the spec, then run `meterhouse replay`.",
    ),
    "invalid_number": Mending(
        "No usable number",
        "A number is not finite or no number at all. Mend the log or the source's spec.",
    ),
    "negative_number": Mending(
        "Negative number",
        "Usage is never below zero: credits go back by a grant. Mend the log.",
    ),
    "number_out_of_range": Mending(
        "Number too large",
        "A number is too large to be true. Mend the log or the source's spec.",
    ),
    "invalid_tags": Mending(
        "Tags unreadable",
        "`tags` is no JSON object. Mend the log or the source's spec.",
    ),
    "conflicting_duplicate": Mending(
        "Same event, other content",
        "The first one loaded counts. Send the correction with a higher `revision`.",
    ),
}


def mending_of(reason: str) -> Mending:
    """What is known of a reason; one that is new here is shown under its own code."""
    return REASONS.get(
        reason,
        Mending(
            reason.replace("_", " ").capitalize(),
            "Mend the rows where they were written, then run `meterhouse replay`.",
        ),
    )


def declare_commands(account_ids: Sequence[str]) -> list[str]:
    """The command that declares each account, its id quoted for a shell."""
    return [f"meterhouse accounts add {shlex.quote(account_id)}" for account_id in account_ids]
