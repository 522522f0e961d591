"""Amounts of money: whole minor units of a currency, and how they are written."""

from decimal import Decimal

from billing.currencies import MINOR_DIGITS
from billing.validation import exact_decimal
from warehouse.errors import MeterhouseError

MOST_MINOR = 10**12
"""Minor units from which an amount is taken for a slip of the finger."""


def to_minor(text: str, currency: str) -> int:
    """``49.00`` of a currency of ``MINOR_DIGITS`` as minor units: 4900 for EUR, not for JPY.

    Raises MeterhouseError for what is no amount, is negative, or has more decimals than the
    currency.
    """
    digits = MINOR_DIGITS[currency]
    minor = exact_decimal(text, f"an amount in {currency}", decimals=digits).scaleb(digits)
    if not 0 <= minor < MOST_MINOR:
        raise MeterhouseError(f"{text} {currency} is out of range; use 0 to 9,999,999,999")
    return int(minor)


def from_minor(minor: int, currency: str) -> str:
    """4900 minor units of EUR as ``49.00``."""
    digits = MINOR_DIGITS[currency]
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


def shown(minor: int, currency: str) -> str:
    """4900 minor units of EUR as ``49.00 EUR``."""
    return f"{from_minor(minor, currency)} {currency}"
