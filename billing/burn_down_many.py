"""The burn-down of many accounts at once, step by step over matrices of accounts and lots.

It takes what ``billing.burn_down`` takes, already cut into segments: the spans between two instants
at which a lot of the account begins or ends. Usage within a segment is one sum, so the cost grows
with lots and segments, never with events. Amounts are whole nano-credits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_CELLS = 1 << 20
"""Cells of a matrix that are worked on at once, which bounds the memory."""

_SAFE = float(1 << 61)
"""Below it no sum of 64-bit integers overflows; above it Python's own integers are used."""


@dataclass(frozen=True)
class Ragged:
    """A list of numbers for each account, end to end; account i has ``offsets[i : i + 2]``."""

    values: Array
    offsets: Array

    @property
    def lengths(self) -> Array:
        """How many numbers each account has."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Takes:
    """Who paid for what; parallel arrays, by account and in the order in which it happened.

    ``lot`` is the position in the account's lots. A take of usage lies between ``take_from`` and
    ``take_to`` of its segment's usage; with ``is_repayment`` it pays overage at the segment's
    start, and lies there on the account's overage so far. ``lot_from`` is what was consumed of
    the lot before.
    """

    account: Array
    lot: Array
    segment: Array
    is_repayment: Array
    take_from: Array
    take_to: Array
    lot_from: Array


def burn_down_many(amounts: Ragged, begins: Ragged, ends: Ragged, usage: Ragged) -> Takes:
    """Burn the usage of each account down against its lots.

    The first three have an entry a lot, in burn order: nano-credits granted, the segment at whose
    start it begins, and the one at whose start it ends (-1: none; the same as its beginning: it
    never holds). ``usage`` has an entry a segment. Amounts may be 64-bit or Python integers.
    """
    parts = [
        _Chunk(accounts, kind, amounts, begins, ends, usage).takes()
        for accounts, kind in _chunks(amounts, usage)
    ]
    order = np.argsort(
        np.concatenate([part.account for part in parts] or [np.empty(0, np.int64)]), kind="stable"
    )
    return Takes(
        *(
            np.concatenate([getattr(part, name) for part in parts])[order]
            if parts
            else np.empty(0, np.int64)
            for name in Takes.__dataclass_fields__
        )
    )


def _chunks(amounts: Ragged, usage: Ragged) -> Iterator[tuple[Array, type]]:
    """Accounts to work on together, and in which kind of integer.

    They are alike in size, and so few that their matrix stays small.
    """
    lots, segments = amounts.lengths, usage.lengths
    busy = np.flatnonzero((lots > 0) & (segments > 0))
    is_large = np.maximum(_totals(amounts), _totals(usage)) >= _SAFE
    order = busy[np.lexsort((segments[busy], lots[busy], is_large[busy]))]
    start = 0
    while start < len(order):
        first = order[start]
        end = start + 1
        widest = max(int(lots[first]), int(segments[first]))
        while end < len(order):
            account = order[end]
            widest = max(widest, int(lots[account]), int(segments[account]))
            if (
                is_large[account] != is_large[first]
                or lots[account] > 2 * lots[first]
                or widest * (end + 1 - start) > _CELLS
            ):
                break
            end += 1
        yield order[start:end], object if is_large[first] else np.int64
        start = end


def _totals(ragged: Ragged) -> Array:
    """The sum of each account's numbers, roughly."""
    found: Array = np.bincount(
        np.repeat(np.arange(len(ragged.lengths)), ragged.lengths),
        weights=ragged.values.astype(np.float64),
        minlength=len(ragged.lengths),
    )
    return found


class _Chunk:
    """Some accounts: one row each, one column a lot in burn order."""

    def __init__(
        self,
        accounts: Array,
        kind: type,
        amounts: Ragged,
        begins: Ragged,
        ends: Ragged,
        usage: Ragged,
    ) -> None:
        self._accounts = accounts
        self._left = _matrix(amounts, accounts, kind)
        self._amounts = self._left.copy()
        self._begins = _matrix(begins, accounts, np.int64, -1)
        self._ends = _matrix(ends, accounts, np.int64, -1)
        self._usage = _matrix(usage, accounts, kind)
        self._active = np.zeros(self._left.shape, bool)
        self._open = np.zeros(len(accounts), self._left.dtype)
        self._repaid = self._open.copy()
        self._found: list[tuple[Array, ...]] = []

    def takes(self) -> Takes:
        """Go through the segments, all accounts at once."""
        for segment in range(self._usage.shape[1]):
            if segment:
                self._cross(segment)
            used = self._usage[:, segment]
            if used.any():
                paid = self._take(segment, self._active, used, None)
                self._open = self._open + used - paid
        columns = list(zip(*self._found, strict=True)) or [()] * 7
        whole = self._left.dtype
        kinds: tuple[Any, ...] = (np.int64, np.int64, np.int64, bool, whole, whole, whole)
        return Takes(
            *(
                np.concatenate(column).astype(kind) if column else np.empty(0, kind)
                for column, kind in zip(columns, kinds, strict=True)
            )
        )

    def _cross(self, segment: int) -> None:
        """Lots begin, and pay what is open, before those that end are gone."""
        ending = self._ends == segment
        beginning = (self._begins == segment) & ~ending
        if self._open.any() and beginning.any():
            paid = self._take(segment, beginning, self._open, self._repaid)
            self._open = self._open - paid
            self._repaid = self._repaid + paid
        self._active = (self._active | beginning) & ~ending

    def _take(self, segment: int, payers: Array, due: Array, base: Array | None) -> Array:
        """Let ``payers`` pay ``due`` in burn order; returns what each account paid."""
        there = np.where(payers, self._left, 0)
        before = np.cumsum(there, axis=1) - there
        taken = np.minimum(np.maximum(due[:, None] - before, 0), there)
        rows, lots = np.nonzero(taken)
        amounts = taken[rows, lots]
        starts = before[rows, lots] + (0 if base is None else base[rows])
        self._found.append(
            (
                self._accounts[rows],
                lots,
                np.full(len(rows), segment),
                np.full(len(rows), base is not None),
                starts,
                starts + amounts,
                self._amounts[rows, lots] - self._left[rows, lots],
            )
        )
        self._left = self._left - taken
        paid: Array = taken.sum(axis=1)
        return paid


def _matrix(ragged: Ragged, accounts: Array, kind: type, padding: int = 0) -> Array:
    """The numbers of some accounts, one row each, padded to the longest."""
    lengths = ragged.lengths[accounts]
    found: Array = np.full((len(accounts), int(lengths.max(initial=0))), padding, kind)
    columns = np.arange(found.shape[1])
    is_there = columns[None, :] < lengths[:, None]
    places = (ragged.offsets[:-1][accounts][:, None] + columns[None, :])[is_there]
    found[is_there] = ragged.values[places]
    return found
