"""What dbt's engine needs of billing: the burn-down of many accounts as a function of SQL.

``meterhouse_burn_down(lots, usage)`` takes two lists of structs for each row (one an account), in
any order: its lots, and the usage of its segments. It gives a list of takes, what
``billing.burn_down_many`` finds. Credits have nine decimals. DuckDB hands over some thousands of
rows at once.
"""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin

from billing.burn_down_many import Array, Ragged, burn_down_many

FUNCTION = "meterhouse_burn_down"

_LOTS = (
    "struct(lot_id bigint, burn_rank bigint, credits decimal(38, 9), begin_segment bigint,"
    " end_segment bigint)[]"
)
_USAGE = "struct(segment bigint, credits decimal(38, 9))[]"
_TAKES = (
    "struct(lot_id bigint, segment bigint, is_repayment boolean, take_from decimal(38, 9),"
    " take_to decimal(38, 9), lot_from decimal(38, 9))[]"
)
_AMOUNT = pa.decimal128(38, 9)
_FIELDS = {
    "lot_id": pa.int64(),
    "segment": pa.int64(),
    "is_repayment": pa.bool_(),
    "take_from": _AMOUNT,
    "take_to": _AMOUNT,
    "lot_from": _AMOUNT,
}


class Plugin(BasePlugin):
    """Gives dbt's connection the function."""

    def initialize(self, config: dict[str, Any]) -> None:
        """There is nothing to set."""

    def configure_connection(self, conn: Any) -> None:
        """Register the function; it depends on its arguments alone."""
        register(conn)


def register(connection: Any) -> None:
    """Give a DuckDB connection the function ``meterhouse_burn_down``."""
    connection.create_function(FUNCTION, burn_down_lists, [_LOTS, _USAGE], _TAKES, type="arrow")


def burn_down_lists(lots: pa.ChunkedArray, usage: pa.ChunkedArray) -> pa.Array:
    """The takes of each row, as a list of structs; the fields are those of the function of SQL."""
    lot_ids, amounts, begins, ends = _ordered(lots, "burn_rank")
    (used,) = _ordered(usage, "segment")
    takes = burn_down_many(amounts, begins, ends, used)
    places = lot_ids.offsets[:-1][takes.account] + takes.lot
    columns = (
        pa.array(lot_ids.values[places], pa.int64()),
        pa.array(takes.segment, pa.int64()),
        pa.array(takes.is_repayment, pa.bool_()),
        *(_decimals(values) for values in (takes.take_from, takes.take_to, takes.lot_from)),
    )
    offsets = np.searchsorted(takes.account, np.arange(len(lots) + 1))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()),
        pa.StructArray.from_arrays(columns, fields=[pa.field(*field) for field in _FIELDS.items()]),
    )


def _ordered(lists: pa.ChunkedArray, key: str) -> list[Ragged]:
    """The fields of lists of structs but for ``key``, by which each list is put in order.

    Credits are whole nano-credits.
    """
    whole = lists.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], lists.type)
    offsets = whole.offsets.to_numpy()
    structs = whole.values.slice(offsets[0], offsets[-1] - offsets[0])
    fields = dict(zip(structs.type.names, structs.flatten(), strict=True))
    offsets = offsets - offsets[0]
    rows = np.repeat(np.arange(len(whole)), np.diff(offsets))
    order = np.lexsort((fields.pop(key).to_numpy(), rows))
    return [
        Ragged((_nanos(field) if field.type == _AMOUNT else field.to_numpy())[order], offsets)
        for field in fields.values()
    ]


def _nanos(credits: pa.Array) -> Array:
    """Credits as whole nano-credits: 64-bit integers if they all fit, else Python's own.

    A decimal of nine places is kept as its nano-credits in 128 bits, low half first, so nothing
    has to be converted.
    """
    halves = np.frombuffer(credits.buffers()[1], np.int64).reshape(-1, 2)
    halves = halves[credits.offset : credits.offset + len(credits)]
    low, high = halves[:, 0], halves[:, 1]
    if np.array_equal(high, low >> 63):
        return low
    whole: Array = (high.astype(object) << 64) + low.view(np.uint64).astype(object)
    return whole


def _decimals(nanos: Array) -> pa.Array:
    """Nano-credits as credits with nine decimals."""
    if nanos.dtype == object:
        return pa.array([Decimal(f"{nano}E-9") for nano in nanos], _AMOUNT)
    halves = np.stack([nanos, nanos >> 63], axis=1)
    return pa.Array.from_buffers(_AMOUNT, len(nanos), [None, pa.py_buffer(halves)])
