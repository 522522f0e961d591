"""What an account's fields may hold. Each function returns the value as it is stored.

All are pure but for reading the lists of zones once, and raise MeterhouseError with what is
wrong and what would be right.
"""

import re
import unicodedata
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

from billing.currencies import MINOR_DIGITS, SUCCESSORS
from billing.zones import known_zones
from warehouse.errors import MeterhouseError

PLANS = ("prepaid", "prepaid_with_overage", "postpaid")

INVOICED_PLANS = ("prepaid_with_overage", "postpaid")
"""Plans on which usage beyond the lots goes on and is invoiced, at a price."""

BEGINNING = date(1970, 1, 1)
"""From here on an account's first term holds: before any usage that could be loaded."""

_LAST_MONTH = date(2199, 12, 1)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,127}")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_UNPRINTABLE = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def account_id(text: str) -> str:
    """An account's id: 1 to 128 ASCII letters, digits and ``. _ : @ / + = ~ -``."""
    if not _ID.fullmatch(text):
        raise MeterhouseError(
            f"{_shown(text)} cannot be an account id: it must have 1 to 128 letters, digits "
            "and any of . _ : @ / + = ~ -, and begin with a letter or digit"
        )
    return text


def account_name(text: str) -> str:
    """A display name of 1 to 200 characters in one line, normalised to NFC and trimmed."""
    _refuse_unprintable("name", text)
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > 200:
        raise MeterhouseError(f"an account's name must have 1 to 200 characters, not {len(name)}")
    return name


def view_name(text: str) -> str:
    """The name of a saved view: 1 to 60 characters in one line, trimmed and normalised to NFC."""
    _refuse_unprintable("name", text)
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise MeterhouseError("a saved view needs a name")
    if len(name) > 60:
        raise MeterhouseError(f"a view's name has at most 60 characters, not {len(name)}")
    return name


def time_zone(text: str) -> str:
    """An IANA zone that Python and DuckDB both know, such as ``Europe/Berlin``."""
    zones = known_zones()
    if text in zones:
        return text
    raise MeterhouseError(
        f"{_shown(text)} is no IANA time zone{_meant(_similar_zone(text, zones))}; "
        "write for example UTC or Europe/Berlin"
    )


def currency(text: str) -> str:
    """A currency by its ISO 4217 code, upper case."""
    code = text.strip().upper()
    if code in MINOR_DIGITS:
        return code
    if code in SUCCESSORS:
        raise MeterhouseError(f"the currency {code} was withdrawn; use {SUCCESSORS[code]}")
    raise MeterhouseError(
        f"{_shown(text)} is no ISO 4217 currency one can pay in; write for example USD, EUR or JPY"
    )


def email(text: str | None) -> str | None:
    """An e-mail address, or None for none (an empty text too).

    Only what can stand in a mail header unquoted is taken; a domain outside ASCII goes in its
    ``xn--`` form.
    """
    if text is None or not text.strip():
        return None
    _refuse_unprintable("e-mail address", text)
    address = text.strip()
    local, at, domain = address.rpartition("@")
    if (
        not at
        or len(address) > 254
        or len(local) > 64
        or not _LOCAL_PART.fullmatch(local)
        or not _DOMAIN.fullmatch(domain)
    ):
        raise MeterhouseError(
            f"{_shown(text)} is no e-mail address; write one address like billing@customer.example"
        )
    return f"{local}@{domain.lower()}"


def plan(text: str) -> str:
    """One of PLANS; hyphens may stand for underscores."""
    name = text.strip().lower().replace("-", "_")
    if name not in PLANS:
        similar = get_close_matches(name, PLANS, n=1)
        raise MeterhouseError(
            f"{_shown(text)} is no plan{_meant(similar[0] if similar else None)}; "
            f"choose one of {', '.join(PLANS)}"
        )
    return name


def overage_price(text: str | None) -> Decimal | None:
    """What a credit beyond the lots costs, in units of the currency; None for no price.

    Above 0 and with at most twelve decimals: overage that cost nothing would be lost silently.
    """
    if text is None or not text.strip():
        return None
    price = exact_decimal(text, "a price of overage", decimals=12)
    if price <= 0:
        raise MeterhouseError(
            f"a price of overage must be above 0, not {_shown(text)}; leave it out for none"
        )
    return price


def credits(text: str | Decimal) -> Decimal:
    """An amount of credits: above 0, at most nine decimals and twelve digits before them."""
    amount = exact_decimal(text, "an amount of credits", decimals=9)
    if amount <= 0:
        raise MeterhouseError(f"an amount of credits must be above 0, not {_shown(str(text))}")
    return amount


def exact_decimal(text: str | Decimal, what: str, *, decimals: int) -> Decimal:
    """A finite decimal number with at most ``decimals`` places and twelve digits before them.

    Raises MeterhouseError that calls the number ``what``.
    """
    try:
        number = text if isinstance(text, Decimal) else Decimal(text.strip())
        if number.is_nan():
            raise InvalidOperation
    except InvalidOperation:
        raise MeterhouseError(f"{_shown(str(text))} is no number; write for example 12.5") from None
    if not number.is_finite() or number.adjusted() >= 12:
        raise MeterhouseError(f"{what} must be below 1,000,000,000,000, not {_shown(str(text))}")
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > decimals:
        raise MeterhouseError(
            f"{what} has at most {decimals} decimals, and {_shown(str(text))} has more"
        )
    return number


def line(what: str, text: str, longest: int) -> str:
    """A text of 1 to ``longest`` characters in one line, trimmed and normalised to NFC."""
    _refuse_unprintable(what, text)
    found = unicodedata.normalize("NFC", text).strip()
    if not found:
        raise MeterhouseError(f"the {what} is missing")
    if len(found) > longest:
        raise MeterhouseError(f"the {what} has at most {longest} characters, not {len(found)}")
    return found


def month_start(day: date) -> date:
    """The first day of a month, as which every term of an account begins."""
    if day.day != 1:
        first = day.replace(day=1)
        nearest, other = sorted([first, next_month(day)], key=lambda month: abs(month - day))
        raise MeterhouseError(
            f"an account changes only at the start of a month, and {day} is none; "
            f"the nearest is {nearest} (or {other})"
        )
    if not BEGINNING <= day <= _LAST_MONTH:
        raise MeterhouseError(f"{day} is out of range; use {BEGINNING} to {_LAST_MONTH}")
    return day


def parse_month(text: str) -> date:
    """``2026-03`` or ``2026-03-01`` as a month's first day."""
    match = re.fullmatch(r"(\d{4})-(\d{2})(?:-(\d{2}))?", text.strip())
    try:
        if match is None:
            raise ValueError
        day = date(int(match[1]), int(match[2]), int(match[3] or 1))
    except ValueError:
        raise MeterhouseError(f"{_shown(text)} is no month; write for example 2026-03") from None
    return month_start(day)


def next_month(day: date) -> date:
    """First day of the month after ``day``'s."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _refuse_unprintable(what: str, text: str) -> None:
    """Line breaks would inject mail headers, direction marks make a text read as another."""
    for character in text:
        if unicodedata.category(character) in _UNPRINTABLE or character in _DIRECTION_MARKS:
            raise MeterhouseError(
                f"the {what} {_shown(text)} holds a line break or another control character; "
                "write it in one line of plain text"
            )


def _similar_zone(text: str, zones: frozenset[str]) -> str | None:
    wanted = text.strip().lower().replace(" ", "_")
    by_name = {zone.lower(): zone for zone in zones}
    if wanted in by_name:
        return by_name[wanted]
    by_city = {zone.lower().rpartition("/")[2]: zone for zone in sorted(zones, reverse=True)}
    if wanted in by_city:
        return by_city[wanted]
    for names in (by_name, by_city):
        similar = get_close_matches(wanted, names, n=1, cutoff=0.75)
        if similar:
            return names[similar[0]]
    return None


def _meant(suggestion: str | None) -> str:
    return f" (did you mean {suggestion}?)" if suggestion else ""


def _shown(text: str) -> str:
    """The text quoted, control characters escaped, cut to a readable length."""
    return ascii(text) if len(text) <= 80 else ascii(text[:77]) + "…"
