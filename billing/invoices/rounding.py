"""Rounding money to whole minor units. Exact amounts are fractions, so nothing is rounded twice."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor


def rounded(amount: Fraction) -> int:
    """Half up, away from zero, so that a credit note is its invoice with the sign reversed."""
    return floor(amount + Fraction(1, 2)) if amount >= 0 else -floor(-amount + Fraction(1, 2))


def fitted(amounts: Sequence[Fraction]) -> list[int]:
    """Whole numbers whose sum is the rounded sum of ``amounts``, each less than 1 from its own.

    By largest remainder: each is rounded down, and those that lost most get what is missing; of
    equal ones the first.
    """
    whole = [floor(amount) for amount in amounts]
    missing = rounded(sum(amounts, Fraction(0))) - sum(whole)
    by_loss = sorted(range(len(whole)), key=lambda at: (whole[at] - amounts[at], at))
    for at in by_loss[:missing]:
        whole[at] += 1
    return whole
