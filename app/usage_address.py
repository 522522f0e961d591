"""The Usage page's address: reading it, whatever it holds, and writing it.

``?account=acme&from=2026-11-01&to=2026-12-01&agent=a&agent=b&category=llm&model=gpt-5&status=error
&rating=unrated&hour=14&tag=team:blue&q=timeout&sort=-credits&group=agent,day&page=2
&event=2026-11-23/meterhouse/e-17``.
``to`` is exclusive. In place of ``from`` and ``to`` a ``range`` moves with the calendar
(``range=7d``), which is what a bookmark wants; two dates stay, which is what a report wants.

Everything here is pure. Reading never fails: what cannot be used is left out, and a remark in plain
words says so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode

from app import formats
from app.long_address import CUT
from warehouse.usage.selection import Dimension, Selection, Sort

STATUS_LABELS: Mapping[str, str] = {"ok": "OK", "error": "Failed", "cancelled": "Cancelled"}
RATING_LABELS: Mapping[str, str] = {
    "logged": "From the log",
    "rated": "From the rate card",
    "failed": "Failed, none logged",
    "unrated": "Not rated yet",
}
MOST_VALUES = 100
"""Values that one filter takes from an address."""

MOST_DAYS = 1_830
"""Days that a range can have: five years."""

LONGEST_TEXT = 200
MOST_REMARKS = 5
MOST_PAGES = 10_000_000
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)
_SINGLE = ("from", "to", "range", "q", "sort", "page", "event")


class Range(StrEnum):
    """A range of days that moves with the calendar of the account."""

    TODAY = "today"
    WEEK = "7d"
    MONTH = "month"
    LAST_MONTH = "last-month"
    DAYS_30 = "30d"
    DAYS_90 = "90d"

    def days(self, today: date) -> tuple[date, date]:
        """The first day, and the day after the last; a month is whole, also while it runs."""
        month = today.replace(day=1)
        if self is Range.MONTH:
            return month, _month_after(month)
        if self is Range.LAST_MONTH:
            return _month_before(month), month
        back = {Range.TODAY: 1, Range.WEEK: 7, Range.DAYS_30: 30, Range.DAYS_90: 90}[self]
        after = today + timedelta(days=1)
        return after - timedelta(days=back), after


RANGE_LABELS: Mapping[Range, str] = {
    Range.TODAY: "Today",
    Range.WEEK: "Last 7 days",
    Range.MONTH: "This month",
    Range.LAST_MONTH: "Last month",
    Range.DAYS_30: "Last 30 days",
    Range.DAYS_90: "Last 90 days",
}


@dataclass(frozen=True)
class EventKey:
    """Which event: its UTC day, by which it is found fast, its source, its id there."""

    day: date
    source: str
    event_id: str

    def __str__(self) -> str:
        """As it stands in an address; a source never holds a slash."""
        return f"{self.day.isoformat()}/{self.source}/{self.event_id}"


@dataclass(frozen=True)
class UsageView:
    """What the page shows. ``range`` is None where the selection's days are dates of their own."""

    selection: Selection
    range: Range | None = None
    sort: Sort = Sort.TIME
    is_descending: bool = True
    group: tuple[Dimension, ...] = ()
    page: int = 1
    event: EventKey | None = None

    def narrowed(self, **filters: Any) -> "UsageView":
        """The same view with other filters, from its first page on and without an open event."""
        return replace(self, selection=replace(self.selection, **filters), page=1, event=None)

    def in_days(self, first: date, until: date) -> "UsageView":
        """The same view of other days."""
        return replace(self.narrowed(first=first, until=until), range=None)

    def in_range(self, chosen: Range, today: date) -> "UsageView":
        """The same view of the days that a range means today."""
        first, until = chosen.days(today)
        return replace(self.narrowed(first=first, until=until), range=chosen)

    def cleared(self) -> "UsageView":
        """The same days without any filter."""
        return self.narrowed(
            agents=(),
            categories=(),
            models=(),
            statuses=(),
            tags=(),
            text="",
            ratings=(),
            hours=(),
        )

    def at_hours(self, hours: tuple[int, ...], time_zone: str) -> "UsageView":
        """The same view at these hours of the account's clock."""
        return self.narrowed(hours=hours, time_zone=time_zone)


@dataclass(frozen=True)
class Known:
    """What an address is read against: the account's today and the values that exist."""

    today: date
    time_zone: str = "UTC"
    agents: frozenset[str] = field(default_factory=frozenset)
    categories: frozenset[str] = field(default_factory=frozenset)
    models: frozenset[str] = field(default_factory=frozenset)
    last_month: date | None = None


def default_view(known: Known) -> UsageView:
    """The month that runs; if the account has no usage in it, the last month that has some."""
    first, until = Range.MONTH.days(known.today)
    zone = known.time_zone
    if known.last_month is not None and known.last_month < first:
        until = _month_after(known.last_month)
        return UsageView(Selection(known.last_month, until, time_zone=zone))
    return UsageView(Selection(first, until, time_zone=zone), Range.MONTH)


def parse(
    parameters: Mapping[str, Sequence[str]], known: Known
) -> tuple[UsageView, tuple[str, ...]]:
    """The view that an address asks for, and a remark for each thing in it that was ignored."""
    return _Reading(parameters, known).view()


def render(view: UsageView) -> dict[str, str | list[str]]:
    """The parameters of a view's address, without the account; what is a default is left out."""
    chosen = view.selection
    parameters: dict[str, str | list[str]] = {}
    if view.range is not None:
        parameters["range"] = view.range.value
    else:
        parameters["from"] = chosen.first.isoformat()
        parameters["to"] = chosen.until.isoformat()
    for key, values in (
        ("agent", chosen.agents),
        ("category", chosen.categories),
        ("model", chosen.models),
        ("status", chosen.statuses),
        ("rating", chosen.ratings),
        ("hour", tuple(str(hour) for hour in chosen.hours)),
        ("tag", tuple(tag_id(*pair) for pair in chosen.tags)),
    ):
        if values:
            parameters[key] = list(values)
    if chosen.text:
        parameters["q"] = chosen.text
    if (view.sort, view.is_descending) != (Sort.TIME, True):
        parameters["sort"] = ("-" if view.is_descending else "") + view.sort.value
    if view.group:
        parameters["group"] = ",".join(view.group)
    if view.page > 1:
        parameters["page"] = str(view.page)
    if view.event is not None:
        parameters["event"] = str(view.event)
    return parameters


def link(account_id: str, view: UsageView) -> str:
    """The address of a view, relative to any page of the app."""
    return f"usage?{query({'account': account_id, **render(view)})}"


def query(parameters: Mapping[str, str | Sequence[str]]) -> str:
    """Parameters as the query of an address."""
    return urlencode(parameters, doseq=True, quote_via=quote, safe="/:,")


def previous(view: UsageView, today: date) -> Selection:
    """What the view is compared with: as many days before; of whole months, the months before.

    While the range runs, only as much of the period before as has passed of it.
    """
    chosen = view.selection
    first, until = chosen.first, chosen.until
    if first.day == until.day == 1:
        months = (until.year - first.year) * 12 + until.month - first.month
        start = first
        for _ in range(months):
            start = _month_before(start)
    else:
        start = first - timedelta(days=chosen.days)
    end = first
    if first <= today < until - timedelta(days=1):
        end = min(first, start + (today + timedelta(days=1) - first))
    return replace(chosen, first=start, until=end)


def tag_id(key: str, value: str) -> str:
    """A tag as it stands in an address: ``key:value``."""
    for letter in "%:=":
        key = key.replace(letter, f"%{ord(letter):X}")
    return f"{key}:{value}"


def parse_tag(text: str) -> tuple[str, str] | None:
    """The tag that ``key:value`` or ``key=value`` names; None where it names none."""
    match = re.fullmatch(r"([^:=]{1,200})[:=](.{1,400})", text, re.DOTALL)
    if match is None or _has_controls(text):
        return None
    key, value = match[1], match[2]
    for letter in ":=%":
        key = key.replace(f"%{ord(letter):X}", letter)
    return key, value


class _Reading:
    """One reading of an address."""

    def __init__(self, parameters: Mapping[str, Sequence[str]], known: Known) -> None:
        self.parameters = parameters
        self.known = known
        self.remarks: list[str] = []

    def view(self) -> tuple[UsageView, tuple[str, ...]]:
        if CUT in self.parameters:
            self.remarks.append("The address was too long; its end was left out.")
        for key in _SINGLE:
            if len(self.parameters.get(key, ())) > 1:
                self.remarks.append(f"“{key}” was given more than once; the first one counts.")
        days = self.days()
        view = replace(
            days,
            selection=replace(
                days.selection,
                agents=self.known_values("agent", "agent", "agents", self.known.agents),
                categories=self.known_values(
                    "category", "category", "categories", self.known.categories
                ),
                models=self.known_values("model", "model", "models", self.known.models),
                statuses=self.known_values("status", "status", "statuses", tuple(STATUS_LABELS)),
                ratings=self.known_values("rating", "rating", "ratings", tuple(RATING_LABELS)),
                hours=self.hours(),
                time_zone=self.known.time_zone,
                tags=self.tags(),
                text=self.text(),
            ),
            group=self.group(),
            page=self.page(),
            event=self.event(),
        )
        sort, is_descending = self.sort()
        view = replace(view, sort=sort, is_descending=is_descending)
        if len(self.remarks) > MOST_REMARKS:
            return view, (*self.remarks[:MOST_REMARKS], "More of the address was ignored.")
        return view, tuple(self.remarks)

    def one(self, key: str) -> str | None:
        values = self.parameters.get(key, ())
        return values[0] if values and values[0] else None

    def days(self) -> UsageView:
        standard = default_view(self.known)
        asked = self.one("range")
        first, until = self.day("from"), self.day("to")
        if first is None and until is None:
            if asked is None:
                return standard
            try:
                return standard.in_range(Range(asked), self.known.today)
            except ValueError:
                self.remarks.append(f"There is no range {_quoted(asked)}.")
                return standard
        if asked is not None:
            self.remarks.append("A range beside two dates was ignored: the dates count.")
        after_today = self.known.today + timedelta(days=1)
        if first is None:
            assert until is not None
            first = max(_FIRST_DAY, until - timedelta(days=30))
        elif until is None:
            until = max(after_today, first + timedelta(days=1))
        if until < first:
            first, until = until, first
            self.remarks.append("The range ended before it began; its ends were exchanged.")
        if first == until:
            until = first + timedelta(days=1)
            self.remarks.append(f"The range held no day; this is {formats.day(first)}.")
        if (until - first).days > MOST_DAYS:
            first = until - timedelta(days=MOST_DAYS)
            self.remarks.append(
                f"A range has at most five years; this one was cut to begin {formats.day(first)}."
            )
        return UsageView(Selection(first, until))

    def day(self, key: str) -> date | None:
        asked = self.one(key)
        if asked is None:
            return None
        found = _iso_day(asked)
        if found is None or not _FIRST_DAY <= found <= _LAST_DAY:
            self.remarks.append(
                f"{_quoted(asked)} is no date for “{key}”; write it like 2026-11-23."
            )
            return None
        return found

    def known_values(
        self, key: str, one: str, many: str, known: Sequence[str] | frozenset[str]
    ) -> tuple[str, ...]:
        asked = list(dict.fromkeys(value for value in self.parameters.get(key, ()) if value))
        found = [value for value in asked if value in known]
        missed = [value for value in asked if value not in known]
        if missed:
            named = ", ".join(_quoted(value) for value in missed[:3])
            more = f" and {formats.number(len(missed) - 3)} more" if len(missed) > 3 else ""
            self.remarks.append(
                f"This account has no {one if len(missed) == 1 else many} {named}{more}."
            )
        return self.at_most(many, found)

    def hours(self) -> tuple[int, ...]:
        asked = dict.fromkeys(value for value in self.parameters.get("hour", ()) if value)
        found: dict[int, None] = {}
        for text in asked:
            if re.fullmatch(r"[0-9]{1,2}", text, re.ASCII) and int(text) < 24:
                found[int(text)] = None
            else:
                self.remarks.append(f"{_quoted(text)} is no hour from 0 to 23.")
                if len(self.remarks) > MOST_REMARKS:
                    break
        return tuple(found)

    def tags(self) -> tuple[tuple[str, str], ...]:
        found: dict[tuple[str, str], None] = {}
        for text in self.parameters.get("tag", ()):
            pair = parse_tag(text)
            if pair is not None:
                found[pair] = None
            elif text:
                self.remarks.append(f"{_quoted(text)} is no tag; write it like team:blue.")
                if len(self.remarks) > MOST_REMARKS:
                    break
        return self.at_most("tags", list(found))

    def at_most(self, many: str, values: list[Any]) -> tuple[Any, ...]:
        if len(values) > MOST_VALUES:
            self.remarks.append(
                f"{formats.number(len(values))} {many} were asked for; the first {MOST_VALUES} "
                "are shown."
            )
        return tuple(values[:MOST_VALUES])

    def text(self) -> str:
        asked = clean_text(self.one("q") or "")
        if len(asked) > LONGEST_TEXT:
            self.remarks.append(
                f"The text to look for was cut to its first {LONGEST_TEXT} characters."
            )
        return asked[:LONGEST_TEXT].strip()

    def sort(self) -> tuple[Sort, bool]:
        asked = self.one("sort")
        if asked is None:
            return Sort.TIME, True
        try:
            return Sort(asked.removeprefix("-")), asked.startswith("-")
        except ValueError:
            self.remarks.append(f"Usage cannot be sorted by {_quoted(asked)}.")
            return Sort.TIME, True

    def group(self) -> tuple[Dimension, ...]:
        asked = [part for text in self.parameters.get("group", ())[:10] for part in text.split(",")]
        found: list[Dimension] = []
        for part in dict.fromkeys(part for part in asked if part):
            if part not in list(Dimension):
                self.remarks.append(f"Usage cannot be grouped by {_quoted(part)}.")
            elif len(found) == 2:
                self.remarks.append(f"Usage is grouped by at most two things; {part} was left out.")
            else:
                found.append(Dimension(part))
        return tuple(found)

    def page(self) -> int:
        asked = self.one("page")
        if asked is None:
            return 1
        if re.fullmatch(r"[0-9]{1,9}", asked, re.ASCII) and 1 <= int(asked) <= MOST_PAGES:
            return int(asked)
        self.remarks.append(f"There is no page {_quoted(asked)}; this is the first.")
        return 1

    def event(self) -> EventKey | None:
        asked = self.one("event")
        if asked is None:
            return None
        day, _, rest = asked.partition("/")
        source, _, event_id = rest.partition("/")
        found = _iso_day(day)
        is_one = source and event_id and len(asked) <= 2_000 and not _has_controls(asked)
        if found is None or not is_one:
            self.remarks.append(f"{_quoted(asked)} names no operation.")
            return None
        return EventKey(found, source, event_id)


def clean_text(text: str) -> str:
    """A text to look for, trimmed, without characters that nobody can type."""
    return "".join(" " if _has_controls(letter) else letter for letter in text).strip()


def _has_controls(text: str) -> bool:
    return any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text)


def _iso_day(text: str) -> date | None:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _quoted(text: str) -> str:
    return f"“{formats.clip(clean_text(text), 40)}”"


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)
