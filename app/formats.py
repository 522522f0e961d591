"""How figures, dates and texts are written on a page: in English words, by a locale's customs.

The locale is that of the account that a page shows (:func:`use`); without one it is English. Every
function takes None for "not known" and writes a dash, never a zero.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from billing.currencies import MINOR_DIGITS

DASH = "–"
MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Locale:
    """A place's customs: separators, the order of day and month, where a currency stands.

    ``axis_day`` is the pattern of a short day for charts, which format in the browser;
    ``typed_day`` that of a day which a reader types or picks, ISO where no other is sure.
    """

    thousands: str = ","
    decimal: str = "."
    axis_day: str = "%-d %b"
    typed_day: str = "YYYY-MM-DD"
    is_currency_last: bool = False


ENGLISH = Locale()
AMERICAN = Locale(axis_day="%b %-d", typed_day="MM/DD/YYYY")
GERMAN = Locale(".", ",", "%-d.%-m.", "DD.MM.YYYY", is_currency_last=True)

_locale: ContextVar[Locale] = ContextVar("locale", default=ENGLISH)


def locale_of(language: str | None, country: str | None) -> Locale:
    """The customs of a language in a country, as an account's invoices name them."""
    if language == "de":
        return GERMAN
    return AMERICAN if country == "US" else ENGLISH


def use(locale: Locale) -> None:
    """Write by a locale from here on, in this run of a page."""
    _locale.set(locale)


def in_use() -> Locale:
    """The locale of this run, to be used again where a part of a page runs by itself."""
    return _locale.get()


def _local(text: str) -> str:
    """A number with commas and a point as the locale writes it."""
    locale = _locale.get()
    return text.translate(str.maketrans(",.", locale.thousands + locale.decimal))


def _with_currency(text: str, symbol: str, *, is_code: bool = False) -> str:
    """An amount with its currency's symbol or code, before or after it."""
    if _locale.get().is_currency_last:
        return f"{text}{THIN}{symbol}"
    return f"{symbol}{THIN if is_code else ''}{text}"


_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def number(value: Decimal | int | None, decimals: int = 0) -> str:
    """``1,234.50``: commas between thousands, rounded half up to ``decimals``."""
    if value is None:
        return DASH
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = _local(f"{abs(rounded):,.{decimals}f}")
    return f"{MINUS}{text}" if rounded < 0 else text


def credits(value: Decimal | None) -> str:
    """Credits with as many decimals as a reader needs: the smaller, the more; never a false 0."""
    if value is None:
        return DASH
    size = abs(value)
    if size == 0:
        return "0"
    if size < Decimal("0.0001"):
        least = _local("0.0001")
        return f"< {least}" if value > 0 else f"> {MINUS}{least}"
    return number(value, 0 if size >= 100_000 else 2 if size >= Decimal("0.1") else 4)


def usd(value: Decimal | None) -> str:
    """US dollars: cents, four decimals below ten cents."""
    if value is None:
        return DASH
    size = abs(value)
    if 0 < size < Decimal("0.0001"):
        return f"< {_with_currency(_local('0.0001'), '$')}"
    text = number(size, 0 if size >= 100_000 else 2 if size >= Decimal("0.1") or not size else 4)
    return f"{MINUS if value < 0 else ''}{_with_currency(text, '$')}"


_SYMBOLS = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}


def money(minor: Decimal | int | None, currency: str | None) -> str:
    """Minor units as ``€1,900.00`` or ``CHF 49.00``, with the digits of the currency."""
    if minor is None or currency is None:
        return DASH
    digits = MINOR_DIGITS.get(currency, 2)
    text = number(abs(Decimal(minor)).scaleb(-digits), digits)
    sign = MINUS if minor < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return sign + _with_currency(text, symbol or currency, is_code=symbol is None)


def share(value: Decimal | None) -> str:
    """A share between 0 and 1 as ``27.4 %``; a share too small to write is ``< 0.1 %``."""
    if value is None:
        return DASH
    if 0 < value < Decimal("0.0005"):
        return f"< {_local('0.1')}{THIN}%"
    return f"{number(value * 100, 1)}{THIN}%"


def change(now: Decimal | None, before: Decimal | None) -> str | None:
    """By how much ``now`` differs from ``before``: ``+14.4 %``, from ten times on ``12×``.

    None where there is nothing to compare with.
    """
    if now is None or not before:
        return None
    ratio = now / before
    if ratio >= 10:
        return f"{number(ratio)}×"
    percent = number((ratio - 1) * 100, 1)
    sign = "" if ratio < 1 or percent == _local("0.0") else "+"
    return f"{sign}{percent}{THIN}%"


def compact(value: int | None) -> str:
    """A large count in a few figures: ``8,120``, ``33.1 K``, ``195.2 M``, ``1.4 B``."""
    if value is None:
        return DASH
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if abs(value) >= max(size, 10_000):
            return f"{number(Decimal(value) / size, 1)}{THIN}{unit}"
    return number(value)


def day(value: date | None) -> str:
    """``23 Nov 2026``, in America ``Nov 23, 2026``, in German ``23.11.2026``."""
    if value is None:
        return DASH
    between = {AMERICAN: ", ", GERMAN: ""}.get(_locale.get(), " ")
    return f"{short_day(value)}{between}{value.year}"


def short_day(value: date) -> str:
    """``23 Nov``, ``Nov 23``, ``23.11.``."""
    locale, name = _locale.get(), _MONTHS[value.month - 1][:3]
    if locale == GERMAN:
        return f"{value.day}.{value.month}."
    return f"{name} {value.day}" if locale == AMERICAN else f"{value.day} {name}"


def month(value: date | None) -> str:
    """``November 2026``."""
    return DASH if value is None else f"{_MONTHS[value.month - 1]} {value.year}"


def month_name(value: date) -> str:
    """``November``."""
    return _MONTHS[value.month - 1]


def days(first: date, last: date) -> str:
    """A span with both ends: ``1–23 Nov 2026``, ``28 Oct – 3 Nov 2026``."""
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        if _locale.get() == AMERICAN:
            return f"{short_day(first)}–{last.day}, {last.year}"
        return f"{first.day}{'.' if _locale.get() == GERMAN else ''}–{day(last)}"
    start = short_day(first) if first.year == last.year else day(first)
    return f"{start} – {day(last)}"


def moment(value: datetime | None, zone: str = "UTC") -> str:
    """A UTC time in ``zone``: ``23 Nov 2026, 15:12 CET``."""
    if value is None:
        return DASH
    local = utc(value).astimezone(ZoneInfo(zone))
    return f"{day(local.date())}, {local:%H:%M} {local.tzname()}"


def short_moment(value: datetime | None, now: datetime) -> str:
    """A UTC time without its zone: ``23 Nov, 14:08``; of another year only the day."""
    if value is None:
        return DASH
    if value.year != now.year:
        return day(value.date())
    return f"{short_day(value.date())}, {value:%H:%M}"


def utc(value: datetime) -> datetime:
    """A time of the lake, whose timestamps are UTC without a zone, as an aware time."""
    return value if value.tzinfo else value.replace(tzinfo=ZoneInfo("UTC"))


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that fits: ``just now``, ``12 min ago``, ``3 days ago``."""
    if then is None:
        return "never"
    return "just now" if (age := now - utc(then)) < timedelta(minutes=1) else f"{span(age)} ago"


def span(length: timedelta) -> str:
    """A length of time in its largest unit, rounded down: ``12 min``, ``5 h``, ``3 days``."""
    minutes = max(0, int(length.total_seconds())) // 60
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


def duration(milliseconds: Decimal | None) -> str:
    """How long an operation ran: ``850 ms``, ``12.3 s``, ``4 min 05 s``, ``2 h 10 min``."""
    if milliseconds is None:
        return DASH
    if milliseconds < 1000:
        return f"{number(milliseconds, 0)}{THIN}ms"
    if milliseconds < 59_950:
        return f"{number(milliseconds / 1000, 1)}{THIN}s"
    seconds = int((milliseconds / 1000).quantize(Decimal(1), ROUND_HALF_UP))
    if seconds < 3600:
        return f"{seconds // 60}{THIN}min {seconds % 60:02d}{THIN}s"
    return f"{number(seconds // 3600)}{THIN}h {seconds % 3600 // 60:02d}{THIN}min"


def clock(value: datetime, zone: str, today: date) -> str:
    """A UTC time in ``zone``, ``23 Nov, 14:08:12``; with the year where it is another."""
    local = utc(value).astimezone(ZoneInfo(zone))
    written = short_day(local.date()) if local.year == today.year else day(local.date())
    return f"{written}, {local:%H:%M:%S}"


def hours(hour: int) -> str:
    """An hour of the day: ``14:00–15:00``."""
    return f"{hour:02d}:00–{(hour + 1) % 24:02d}:00"


def exact(value: Decimal | None) -> str:
    """Every digit that is there, commas between thousands, no zeros at the end."""
    if value is None:
        return DASH
    text = f"{abs(value):,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    text = _local(text)
    return f"{MINUS}{text}" if value < 0 else text


def size(count: int) -> str:
    """Bytes as a reader's unit: ``812 B``, ``24.1 KB``, ``1.3 GB``; units of 1,000."""
    value = Decimal(count)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{number(value, 0 if unit == 'B' else 1)}{THIN}{unit}"
        value /= 1000
    return f"{number(value, 1)}{THIN}GB"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 event``, ``1,432 events``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def clip(text: str, length: int) -> str:
    """The text in at most ``length`` characters, an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def plain(text: str) -> str:
    """A text from data for a place that reads Markdown: every character of meaning escaped."""
    marks = "\\`*_{}[]()#+-.!|$<>~:&"
    return "".join(f"\\{letter}" if letter in marks else letter for letter in text)
