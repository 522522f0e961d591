"""Projections of an account and its parts, and how past ones have fared."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.gate import Account, AccountQuestion, AccountReader

ELAPSED_DAYS = (3, 10, 20)
"""Days of a month after which the backtest replays its projection."""


@dataclass(frozen=True)
class Projection:
    """A month that runs, of the account (``scope`` account, ``part`` empty) or a part of it.

    ``interval_basis`` says what the 80 % range rests on: replays, deviation or thin.
    """

    scope: str
    part: str
    month: date
    projected_on: date
    history_days: int
    is_thin: bool
    interval_basis: str
    credits: Decimal
    projected_credits: Decimal
    projected_low_credits: Decimal
    projected_high_credits: Decimal
    share: Decimal
    projected_cost_usd: Decimal | None
    projected_low_cost_usd: Decimal | None
    projected_high_cost_usd: Decimal | None


@dataclass(frozen=True)
class Replay:
    """A past month as it would have been projected after ``elapsed_days``, and what came."""

    month: date
    elapsed_days: int
    actual_credits: Decimal
    projected_credits: Decimal
    projected_low_credits: Decimal
    projected_high_credits: Decimal
    run_rate_credits: Decimal
    error_share: Decimal | None
    is_inside: bool


@dataclass(frozen=True)
class TrackRecord:
    """How projections of so many months fared that were made after ``elapsed_days``.

    Errors are mean shares of the months' totals; None where every month was without usage.
    """

    elapsed_days: int
    projections: int
    inside: int
    error_share: Decimal | None
    run_rate_error_share: Decimal | None


PROJECTIONS = AccountQuestion(
    "rpt_insights_projection", Projection, order="scope, projected_credits desc, part"
)
REPLAYS = AccountQuestion("rpt_insights_backtest", Replay, order="elapsed_days, month")


@dataclass(frozen=True)
class Outlook:
    """What the section shows: ``whole`` is the account, None where nothing is projected.

    ``parts`` are the largest first, by scope. Without ``sees_cost`` every cost is None.
    """

    account: Account
    whole: Projection | None
    parts: dict[str, tuple[Projection, ...]]
    replays: tuple[Replay, ...]
    sees_cost: bool


def gather_outlook(reader: AccountReader) -> Outlook:
    """The projections of an account's month and the replays of past ones."""
    found = reader.ask(PROJECTIONS)
    parts: dict[str, list[Projection]] = {}
    for projection in found:
        parts.setdefault(projection.scope, []).append(projection)
    whole = parts.pop("account", [])
    return Outlook(
        reader.account,
        whole[0] if whole else None,
        {scope: tuple(some) for scope, some in parts.items()},
        tuple(reader.ask(REPLAYS)),
        reader.sees_cost,
    )


def track_record(replays: Iterable[Replay], elapsed_days: int) -> TrackRecord | None:
    """The record of the projections that were made after ``elapsed_days``; None without any."""
    chosen = [replay for replay in replays if replay.elapsed_days == elapsed_days]
    if not chosen:
        return None
    return TrackRecord(
        elapsed_days,
        len(chosen),
        sum(replay.is_inside for replay in chosen),
        _mean(replay.error_share for replay in chosen),
        _mean(
            abs(replay.run_rate_credits - replay.actual_credits) / replay.actual_credits
            for replay in chosen
            if replay.actual_credits
        ),
    )


def nearest_replay(elapsed_days: int) -> int:
    """Of the days that the backtest replays the last that has passed, or the first."""
    return max((days for days in ELAPSED_DAYS if days <= elapsed_days), default=ELAPSED_DAYS[0])


def _mean(shares: Iterable[Decimal | None]) -> Decimal | None:
    known = [share for share in shares if share is not None]
    return sum(known, Decimal(0)) / len(known) if known else None
