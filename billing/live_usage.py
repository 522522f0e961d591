"""What an account used until now: settled from the marts, pending from the raw rows above them.

Settled usage lies in the marts as sums of days, cut where a lot begins or ends; only a day with
another border in it (a lot granted for the past) is read event by event. Pending usage is what
raw rows above the published batch change: new events count, settled ones that they replace or
withdraw no longer do.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from billing.burn_down import Usage
from warehouse.publication import Publication

Rows = list[tuple[Any, ...]]


class Lake(Protocol):
    """Answers queries at a publication, or at the head without one."""

    def publication(self) -> Publication | None:
        """The published pointer, or None before the first publication."""

    def has_table(self, table: str) -> bool:
        """Whether ``catalog.schema.table`` exists at the head."""

    def head_rows(self, lake: Literal["raw", "marts"], sql: str) -> Rows:
        """The rows of a query at the head that reads nothing but ``lake``."""

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        *,
        publication: Publication | None = None,
    ) -> Rows:
        """The rows of a query with named parameters."""


@dataclass(frozen=True)
class LiveUsage:
    """Credits used, in the stretches between borders: those of ``settled`` and of ``pending``.

    A pending sum is below zero where more was withdrawn than came. ``daily`` has the settled
    credits of the account's days.
    """

    borders: Sequence[datetime]
    settled: Sequence[Decimal]
    pending: Sequence[Decimal]
    daily: Mapping[date, Decimal]
    pending_events: int
    pending_unrated_events: int

    def settled_usage(self) -> list[Usage]:
        """Settled usage, one item a stretch, at its beginning."""
        return self._items(self.settled)

    def all_usage(self) -> list[Usage]:
        """Settled and pending usage."""
        return self._items([a + b for a, b in zip(self.settled, self.pending, strict=True)])

    def _items(self, sums: Sequence[Decimal]) -> list[Usage]:
        starts = [self.borders[0] - timedelta(microseconds=1), *self.borders]
        return [Usage(at, amount) for at, amount in zip(starts, sums, strict=False) if amount]


def read_usage(
    lake: Lake, publication: Publication | None, account_id: str, borders: Sequence[datetime]
) -> LiveUsage:
    """What the account used before the last of ``borders`` (ascending, aware).

    What ``publication`` holds is settled; all is pending before the first.
    """
    moments = [_naive(border) for border in borders]
    settled = [Decimal(0)] * len(borders)
    pending = [Decimal(0)] * len(borders)
    daily: dict[date, Decimal] = {}
    if publication:
        daily = _add_settled(lake, publication, account_id, moments, settled)
    events, unrated = _add_pending(lake, publication, account_id, moments, pending)
    return LiveUsage(borders, settled, pending, daily, events, unrated)


def read_pending(
    lake: Lake,
    publication: Publication | None,
    account_id: str,
    first: datetime,
    until: datetime,
    part: tuple[str, str] | None = None,
) -> Decimal:
    """What pending usage adds from ``first`` to before ``until`` (aware); below zero where it
    takes away. ``part`` is a column (agent_id, model or category) and its value; all without.
    """
    sums = [Decimal(0)] * 2
    borders = [_naive(first), _naive(until)]
    _add_pending(lake, publication, account_id, borders, sums, part)
    return sums[1]


def _add_settled(
    lake: Lake,
    publication: Publication,
    account_id: str,
    borders: Sequence[datetime],
    sums: list[Decimal],
) -> dict[date, Decimal]:
    """Add settled usage to the sums of its stretches; returns the credits of days."""
    daily: dict[date, Decimal] = {}
    cut: list[tuple[datetime, datetime]] = []
    for day, credits, first, last in lake.rows(
        "select usage_date, credits, first_occurred_at, last_occurred_at"
        " from marts.main.rpt_credits_usage where account_id = $account_id",
        {"account_id": account_id},
        publication=publication,
    ):
        daily[day] = daily.get(day, Decimal(0)) + credits
        stretch = bisect_right(borders, first)
        if stretch == bisect_right(borders, last):
            _add(sums, stretch, credits)
        else:
            cut.append((first, last))
    if cut:
        spans = " or ".join(
            f"(usage_date_utc between date '{first:%Y-%m-%d}' and date '{last:%Y-%m-%d}'"
            f" and occurred_at between timestamp '{first}' and timestamp '{last}')"
            for first, last in cut
        )
        for at, credits in lake.rows(
            "select occurred_at, sum(credits) from marts.main.rpt_usage_event"
            f" where account_id = $account_id and credits > 0 and ({spans}) group by occurred_at",
            {"account_id": account_id},
            publication=publication,
        ):
            _add(sums, bisect_right(borders, at), credits)
    return daily


_CARDS = "marts.main.int_rate_cards_dated"

_UNITS = {
    "second": "coalesce(event.execution_ms, 0) * cast(0.001 as decimal(4, 3))",
    "input_token": "coalesce(event.input_tokens, 0)",
    "cache_read_token": "coalesce(event.cache_read_tokens, 0)",
    "cache_write_token": "coalesce(event.cache_write_tokens, 0)",
    "output_token": "coalesce(event.output_tokens, 0)",
}
_TOKENS = ("input_token", "cache_read_token", "cache_write_token", "output_token")


def _carded(card: str) -> str:
    """What a card asks for an event: dbt's macro ``measured_credits``, which a test holds it to."""
    price = " + ".join(
        f"{units} * coalesce({card}.{unit}_credits, 0)" for unit, units in _UNITS.items()
    )
    token_rates = " + ".join(f"coalesce({card}.{unit}_credits, 0)" for unit in _TOKENS)
    tokens = ", ".join(f"event.{unit}s" for unit in _TOKENS)
    return (
        f"case when (coalesce({card}.second_credits, 0) = 0 or event.execution_ms is not null)"
        f" and ({token_rates} = 0 or coalesce({tokens}) is not null)"
        f" then cast(round(coalesce({card}.call_credits, 0) + {price}, 9) as decimal(18, 9)) end"
    )


def _card_join(card: str, model: str) -> str:
    return (
        f" left join {_CARDS} as {card} on {card}.category = event.category and {model}"
        f" and event.occurred_at >= {card}.starts_at and event.occurred_at < {card}.ends_at"
    )


_CREDITS = (
    "case when event.credits is not null then event.credits"
    " when event.status <> 'ok' then 0"
    f" when own.category is not null then {_carded('own')}"
    f" when general.category is not null then {_carded('general')} end"
)
_JOINS = _card_join("own", "own.model = event.model") + _card_join(
    "general", "general.model is null"
)
_UNRATED = (
    "case when event.credits is not null or event.status <> 'ok' then coalesce(credits, 0) end"
)


def _add_pending(
    lake: Lake,
    publication: Publication | None,
    account_id: str,
    borders: Sequence[datetime],
    sums: list[Decimal],
    part: tuple[str, str] | None = None,
) -> tuple[int, int]:
    """Add what pending usage changes to the sums; returns its events, and those not rated yet."""
    if not publication and not lake.has_table("raw.main.usage_supersession"):
        return 0, 0
    above = publication.raw_load_id if publication else 0
    has_cards = publication is not None or lake.has_table(_CARDS)

    def ask(replaced: int, with_cards: bool) -> Rows:
        sql = _pending_sql(
            above,
            without_replaced=replaced > 0,
            with_cards=with_cards,
            column=part[0] if part else None,
        )
        named = {"part": part[1]} if part else {}
        return lake.rows(sql, {"account_id": account_id, "borders": list(borders), **named})

    replaced = _replaced(lake, above)
    while True:
        rows = ask(replaced, with_cards=False)
        if any(missing for *_, missing in rows) and has_cards:
            rows = ask(replaced, with_cards=True)
        before, replaced = replaced, _replaced(lake, above)
        if before == replaced:  # else a correction came in between
            break
    events = unrated = 0
    for stretch, credits, count, missing in rows:
        _add(sums, stretch, credits)
        events += count
        unrated += missing
    if publication and replaced:
        events += _take_replaced(lake, publication, account_id, borders, sums, part)
    return events, unrated


def _replaced(lake: Lake, above: int) -> int:
    """How many revisions, of all accounts, raw rows ``above`` a batch replaced."""
    ((count,),) = lake.head_rows(
        "raw", f"select count(*) from raw.main.usage_supersession where load_id > {above}"
    )
    return int(count)


def _pending_sql(
    above: int, *, without_replaced: bool, with_cards: bool, column: str | None = None
) -> str:
    """Stretch, credits, events and unrated events of raw rows ``above`` a batch.

    Cards are asked only where the log lacks credits, and replaced revisions only where there are
    any: each table takes some milliseconds of planning.
    """
    replaced = (
        " anti join (select source, event_id, revision from raw.main.usage_supersession"
        f" where load_id > {above}) as replaced using (source, event_id, revision)"
    )
    return f"""
        with event as (
            select * from raw.main.usage_event
            where load_id > {above} and account_id = $account_id and not is_withdrawn
                {f"and {column} = $part" if column else ""}
        ),
        rated as (
            select event.occurred_at, {_CREDITS if with_cards else _UNRATED} as credits
            from event {replaced if without_replaced else ""} {_JOINS if with_cards else ""}
        )
        select len(list_filter($borders, lambda border: border <= occurred_at)) as stretch,
            coalesce(sum(credits), 0), count(*), count(*) filter (where credits is null)
        from rated group by stretch
        """


def _take_replaced(
    lake: Lake,
    publication: Publication,
    account_id: str,
    borders: Sequence[datetime],
    sums: list[Decimal],
    part: tuple[str, str] | None = None,
) -> int:
    """Take settled events that pending rows replace or withdraw off the sums; returns how many."""
    replaced = lake.rows(
        "select source, event_id, revision, usage_date_utc from raw.main.usage_supersession"
        f" where load_id > {publication.raw_load_id}",
        {},
    )
    sources, names, revisions, days = map(list, zip(*replaced, strict=True))
    listed = ", ".join(f"date '{day}'" for day in sorted(set(days)))
    found = lake.rows(
        "select occurred_at, coalesce(credits, 0) from marts.main.rpt_usage_event as event"
        " semi join (select unnest($sources) as source, unnest($names) as event_id,"
        " unnest($revisions) as revision) as replaced using (source, event_id, revision)"
        f" where account_id = $account_id and usage_date_utc in ({listed})"
        + (f" and {part[0]} = $part" if part else ""),
        {
            **({"part": part[1]} if part else {}),
            "account_id": account_id,
            "sources": sources,
            "names": names,
            "revisions": revisions,
        },
        publication=publication,
    )
    for at, credits in found:
        _add(sums, bisect_right(borders, at), -credits)
    return len(found)


def _add(sums: list[Decimal], stretch: int, credits: Decimal) -> None:
    """What happens at the last border or later is not counted."""
    if stretch < len(sums):
        sums[stretch] += credits


def _naive(moment: datetime) -> datetime:
    """The lake's timestamps are UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
