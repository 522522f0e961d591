"""The platform's rate card: credits per unit by category and model, dated. Pure functions.

A rate is never changed: a new row takes over from its ``effective_from``. What has been rated
must keep its price, so a row may start in the past only where none applied.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from warehouse.errors import MeterhouseError

CATEGORIES = ("llm", "sql", "text", "document", "image", "video", "sound", "music")

UNITS = (
    "call",
    "second",
    "input_token",
    "cache_read_token",
    "cache_write_token",
    "output_token",
)
"""What can be counted of an event: itself, its execution time, its tokens of each kind."""

CSV_COLUMNS = ("category", "model", "unit", "credits_per_unit", "effective_from")

_MAX_DIGITS, _SCALE = 24, 12
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rate:
    """Credits that one ``unit`` of ``category`` costs from ``effective_from`` (aware) on.

    ``model`` None stands for every model of the category without rates of its own.
    ``rate_id`` is 0 for a rate that is not recorded yet.
    """

    category: str
    model: str | None
    unit: str
    credits_per_unit: Decimal
    effective_from: datetime
    rate_id: int = 0

    @property
    def key(self) -> tuple[str, str | None, str]:
        """What the rate prices."""
        return self.category, self.model, self.unit

    def __str__(self) -> str:
        model = self.model or "every model"
        return f"{self.category}, {model}, {self.unit} from {shown(self.effective_from)}"


def make_rate(
    category: str,
    model: str | None,
    unit: str,
    credits_per_unit: str | Decimal,
    effective_from: str | datetime,
) -> Rate:
    """A valid rate of texts as people write them.

    Raises MeterhouseError that says which field is wrong and what may stand there.
    """
    return Rate(
        category=_one_of("category", category, CATEGORIES),
        model=_model(model),
        unit=_one_of("unit", unit, UNITS),
        credits_per_unit=_credits(credits_per_unit),
        effective_from=_moment(effective_from),
    )


def parse_csv(text: str) -> list[Rate]:
    """Rates of a CSV file with a header of CSV_COLUMNS; an empty model stands for every model.

    Raises MeterhouseError that names the line of every row that cannot be used.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header = [column.strip() for column in reader.fieldnames or []]
    if sorted(header) != sorted(CSV_COLUMNS):
        raise MeterhouseError(
            f"the first line must name the columns {','.join(CSV_COLUMNS)}, not {','.join(header)}"
        )
    reader.fieldnames = header
    rates, problems = [], []
    try:
        for row in reader:
            try:
                if None in row or None in row.values():
                    raise MeterhouseError(f"it must have {len(CSV_COLUMNS)} fields")
                rates.append(make_rate(**{column: row[column].strip() for column in CSV_COLUMNS}))
            except MeterhouseError as error:
                problems.append(f"  line {reader.line_num}: {error}")
    except csv.Error as error:
        problems.append(f"  line {reader.line_num}: {error}")
    if problems:
        raise _none_added(problems)
    return rates


def rates_to_add(existing: Sequence[Rate], new: Iterable[Rate], now: datetime) -> list[Rate]:
    """Those of ``new`` that are not in ``existing`` yet and may be added at ``now`` (aware).

    Rows added together are judged against what stood before them, so a whole card may start in
    the past at once. Raises MeterhouseError that says, for every row that may not be added,
    from when it may start.
    """
    standing = {
        (*rate.key, rate.effective_from): rate.credits_per_unit
        for rate in sorted(existing, key=lambda rate: rate.rate_id)
    }
    wanted: dict[tuple[object, ...], Rate] = {}
    problems = []
    for rate in new:
        place = (*rate.key, rate.effective_from)
        if standing.get(place) == rate.credits_per_unit:
            continue
        if place in wanted and wanted[place] != rate:
            problems.append(f"  {rate}: two different rates are given")
            continue
        reason = _why_not(existing, rate, now)
        if reason:
            problems.append(f"  {rate}: {reason}")
        wanted[place] = rate
    if problems:
        raise _none_added(problems)
    return list(wanted.values())


def shown(moment: datetime) -> str:
    """A time in UTC as people read it; a date alone at midnight."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return text.removesuffix(" 00:00:00")


def _none_added(problems: Sequence[str]) -> MeterhouseError:
    shown_first = [*problems[:10], *([f"  and {len(problems) - 10} more"] * (len(problems) > 10))]
    return MeterhouseError("no rate was added:\n" + "\n".join(shown_first))


def _why_not(existing: Sequence[Rate], rate: Rate, now: datetime) -> str | None:
    """Why ``rate`` may not be added at ``now``, or None when it may."""
    if rate.effective_from >= now:
        return None
    same = [old.effective_from for old in existing if old.key == rate.key]
    if same and min(same) <= rate.effective_from:
        return (
            f"a rate applied then already; it may start from now on, or before {shown(min(same))}"
        )
    if rate.model is None:
        return None
    # Rates of a model take the place of the category's: usage between them has its price.
    of_model = [
        old.effective_from
        for old in existing
        if (old.category, old.model) == (rate.category, rate.model)
    ]
    of_category = [
        old.effective_from
        for old in existing
        if old.category == rate.category and old.model is None
    ]
    if of_category and max(rate.effective_from, min(of_category)) < min([now, *of_model]):
        return (
            f"the rates of {rate.category} for every model applied to {rate.model} then; "
            "it may start from now on"
        )
    return None


def _one_of(what: str, text: str, allowed: tuple[str, ...]) -> str:
    value = text.strip().lower()
    if value not in allowed:
        raise MeterhouseError(f"{text!r} is no {what}; choose one of {', '.join(allowed)}")
    return value


def _model(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    if len(text) > 200 or not text.isprintable():
        raise MeterhouseError(f"{text[:80]!r} cannot be a model's name: one line, 200 characters")
    return text.strip()


def _credits(value: str | Decimal) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise MeterhouseError(
            f"{value!r} is no number of credits; write for example 0.25"
        ) from None
    if not number.is_finite() or number < 0:
        raise MeterhouseError(f"{value} is no price: credits per unit must be 0 or more")
    exact = number.quantize(Decimal(1).scaleb(-_SCALE)) if number < 10**12 else None
    if exact is None or exact != number:
        raise MeterhouseError(
            f"{value} does not fit: at most {_MAX_DIGITS - _SCALE} digits before "
            f"and {_SCALE} after the point"
        )
    return abs(exact)


def _moment(value: str | datetime) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
    except ValueError:
        raise MeterhouseError(
            f"{value!r} is no date or time; write for example 2026-03-01 or 2026-03-01T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _EARLIEST <= moment <= _LATEST:
        raise MeterhouseError(f"{value} is out of range; use 1970 to 2199")
    return moment.astimezone(UTC)
