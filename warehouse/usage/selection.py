"""Which usage is asked for: days, filters, text, as conditions with bound values.

A selection knows no account: who reads adds that, and adds it always. No value of a selection
becomes a part of a query; the only texts written into one are dates and names listed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from warehouse.errors import MeterhouseError

TEXT_COLUMNS = ("event_id", "agent_id", "model", "session_id", "request_hash", "tags")
"""Columns of an event in which the text is looked for."""


_RAW_MODEL = "coalesce(model, '(none)')"
_RAW_RATING = (
    "case when credits is not null then 'logged' when status <> 'ok' then 'failed'"
    " else 'unrated' end"
)
"""What is not settled was not rated yet."""


class SelectionError(MeterhouseError):
    """What is asked for makes no sense, such as a range that ends before it begins."""


@dataclass(frozen=True)
class Condition:
    """SQL that is true for the rows wanted, and the values of its ``$names``."""

    sql: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Usage of the account's days ``first`` <= day < ``until``, narrowed by every filter given.

    An empty filter lets everything through; of several values of one filter any may match. Of
    tags, (key, value), those of one key are alternatives and different keys must all match.
    ``text`` is looked for in :data:`TEXT_COLUMNS`, whatever its case. ``ratings`` says where the
    credits come from (logged, rated, failed, unrated); ``hours``, from 0 to 23, are those of the
    clock in ``time_zone``. Raises SelectionError unless ``first`` lies before ``until``.
    """

    first: date
    until: date
    agents: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    text: str = ""
    ratings: tuple[str, ...] = ()
    hours: tuple[int, ...] = ()
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.first >= self.until:
            raise SelectionError(f"there is no day from {self.first} until before {self.until}")

    @property
    def days(self) -> int:
        """How many days the range has."""
        return (self.until - self.first).days

    @property
    def is_answered_by_sums(self) -> bool:
        """Whether daily sums can answer: they know no tags, texts, ratings or hours."""
        return not (self.tags or self.text or self.ratings or self.hours)

    def previous(self) -> "Selection":
        """The same filters in as many days just before. Raises SelectionError before year 1."""
        try:
            return replace(self, first=self.first - timedelta(days=self.days), until=self.first)
        except OverflowError:
            raise SelectionError(f"there are not {self.days} days before {self.first}") from None

    def of_events(self) -> Condition:
        """The condition on ``rpt_usage_event``, and on any table with its columns."""
        days = [partition_range(self.first, self.until), *_between_days(self.first, self.until)]
        return self._condition(days, {})

    def of_raw_events(self, starts_at: datetime, ends_at: datetime) -> Condition:
        """The condition on ``raw.main.usage_event``, which does not know the account's days.

        The range is given by the UTC times, without a zone, at which it starts and ends.
        """
        times = [
            partition_range(self.first, self.until),
            "occurred_at >= $starts_at and occurred_at < $ends_at",
        ]
        values = {"starts_at": starts_at, "ends_at": ends_at}
        return self._condition(times, values, model=_RAW_MODEL, rating=_RAW_RATING)

    def of_days(self) -> Condition:
        """The condition on ``rpt_usage_daily``. Raises ValueError if sums cannot answer it."""
        if not self.is_answered_by_sums:
            raise ValueError("daily sums know no tags, texts, ratings or hours")
        months = [
            f"month >= {_literal(self.first.replace(day=1))} and month < {_literal(self.until)}",
            *_between_days(self.first, self.until),
        ]
        return self._condition(months, {})

    def _condition(
        self,
        parts: list[str],
        values: dict[str, Any],
        *,
        model: str = "model",
        rating: str = "rating_status",
    ) -> Condition:
        parameters = dict(values)
        for column, name, wanted in (
            ("agent_id", "agents", self.agents),
            ("category", "categories", self.categories),
            (model, "models", self.models),
            ("status", "statuses", self.statuses),
            (rating, "ratings", self.ratings),
        ):
            if wanted:
                parts.append(f"{column} in (select unnest(${name}))")
                parameters[name] = list(wanted)
        for position, (key, alternatives) in enumerate(_tags_by_key(self.tags).items()):
            parts.append(
                f"list_contains($tag_{position}_values,"
                f" json_extract_string(tags, $tag_{position}_key))"
            )
            parameters |= {
                f"tag_{position}_key": _pointer(key),
                f"tag_{position}_values": alternatives,
            }
        if self.text:
            searched = " or ".join(
                f"contains(lower({column}), lower($text))" for column in TEXT_COLUMNS
            )
            parts.append(f"({searched})")
            parameters["text"] = self.text
        if self.hours:
            parts.append(f"{local_hour('hours_zone')} in (select unnest($hours))")
            parameters |= {"hours": list(self.hours), "hours_zone": self.time_zone}
        return Condition(" and ".join(parts), parameters)


class Sort(StrEnum):
    """By what a page of events can be sorted; the newest first among equals."""

    TIME = "time"
    CREDITS = "credits"
    EXECUTION_TIME = "execution_time"
    TOKENS = "tokens"


_SORTED_BY = {
    Sort.TIME: "occurred_at",
    Sort.CREDITS: "credits",
    Sort.EXECUTION_TIME: "execution_ms",
    Sort.TOKENS: "total_tokens",
}


def order_of(sort: Sort, *, is_descending: bool = True) -> str:
    """The whole order of a page: no two events share a place, and what is not known comes last."""
    direction = "desc" if is_descending else "asc"
    ties = "" if sort is Sort.TIME else ", occurred_at desc"
    return f"{_SORTED_BY[sort]} {direction} nulls last{ties}, source, event_id"


class Dimension(StrEnum):
    """By what events can be grouped; hours and days are the account's."""

    AGENT = "agent"
    CATEGORY = "category"
    MODEL = "model"
    DAY = "day"
    HOUR = "hour"


def local_hour(zone_parameter: str) -> str:
    """The hour, from 0 to 23, of an event on the clock of the zone that a parameter names."""
    local = f"timezone(${zone_parameter}, timezone('UTC', occurred_at))"
    return f"cast(extract(hour from {local}) as integer)"


def partition_range(first: date, until: date) -> str:
    """A condition that keeps the UTC days in which account days ``first`` <= day < ``until`` lie.

    A local date is at most one day off. The days are literals, by which a lake skips files.
    """
    return (
        f"usage_date_utc >= {_literal(_shifted(first, -1))}"
        f" and usage_date_utc < {_literal(_shifted(until, 1))}"
    )


def _shifted(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return day


def _between_days(first: date, until: date) -> list[str]:
    return [f"usage_date >= {_literal(first)}", f"usage_date < {_literal(until)}"]


def _literal(day: date) -> str:
    return f"date '{day.isoformat()}'"


def _tags_by_key(tags: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for key, value in tags:
        values.setdefault(key, []).append(value)
    return values


def _pointer(key: str) -> str:
    """The JSON pointer (RFC 6901) of a member of the top object."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
