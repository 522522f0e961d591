"""Checks of the credit ledger: rated usage = what lots and overage took of it, to the last digit.

They look at one row an account with the sums of usage, ledger and lots.
"""

from expectations.check import Check, Suite

_ledger = Suite("credit_ledger", ("fct_credit_ledger",), "credit_sum")

CHECKS: tuple[Check, ...] = (
    _ledger.none_where(
        "rated_usage_is_burnt",
        "What an account used is what the ledger says was consumed.",
        "used_credits <> consumed_credits",
        ("account_id", "used_credits", "consumed_credits"),
    ),
    _ledger.none_where(
        "ledger_entries_sum_to_zero",
        "An account's entries add up to zero, in credits and in money.",
        "entry_credits <> 0 or entry_minor <> 0",
        ("account_id", "entry_credits", "entry_minor"),
    ),
    _ledger.none_where(
        "lots_hold_what_the_ledger_says",
        "What lots have left is their balance in the ledger, in credits and in deferred money.",
        "lot_credits <> remaining_credits or lot_minor <> deferred_minor",
        ("account_id", "lot_credits", "remaining_credits", "lot_minor", "deferred_minor"),
    ),
    _ledger.none_where(
        "lots_are_conserved",
        "Credits granted are consumed, lost or left.",
        "granted_credits <> spent_credits + lost_credits + remaining_credits",
        ("account_id", "granted_credits", "spent_credits", "lost_credits", "remaining_credits"),
    ),
)
