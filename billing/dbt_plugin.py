"""What dbt's engine needs of billing: the burn-down of many accounts as a function of SQL.

``meterhouse_burn_down(amounts, begins, ends, usage)`` takes the four lists of
``billing.burn_down_many`` for each row (one an account) and gives a list of takes. DuckDB hands
over some thousands of rows at once.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin

from billing.burn_down_many import Array, Ragged, burn_down_many

FUNCTION = "meterhouse_burn_down"

_AMOUNT = pa.decimal128(38, 0)
_FIELDS = {
    "burn_rank": pa.int32(),
    "segment": pa.int32(),
    "is_repayment": pa.bool_(),
    "take_from": _AMOUNT,
    "take_to": _AMOUNT,
    "lot_from": _AMOUNT,
}
_RESULT = (
    "struct(burn_rank integer, segment integer, is_repayment boolean, take_from decimal(38, 0),"
    " take_to decimal(38, 0), lot_from decimal(38, 0))[]"
)


class Plugin(BasePlugin):
    """Gives dbt's connection the function."""

    def initialize(self, config: dict[str, Any]) -> None:
        """There is nothing to set."""

    def configure_connection(self, conn: Any) -> None:
        """Register the function; it depends on its arguments alone."""
        register(conn)


def register(connection: Any) -> None:
    """Give a DuckDB connection the function ``meterhouse_burn_down``."""
    connection.create_function(
        FUNCTION,
        burn_down_lists,
        ["decimal(38, 0)[]", "integer[]", "integer[]", "decimal(38, 0)[]"],
        _RESULT,
        type="arrow",
    )


def burn_down_lists(
    amounts: pa.ChunkedArray, begins: pa.ChunkedArray, ends: pa.ChunkedArray, usage: pa.ChunkedArray
) -> pa.Array:
    """The takes of each row, as a list of structs; ``burn_rank`` counts the lots from 1."""
    takes = burn_down_many(*(_ragged(lists) for lists in (amounts, begins, ends, usage)))
    columns = (
        pa.array(takes.lot + 1, pa.int32()),
        pa.array(takes.segment, pa.int32()),
        pa.array(takes.is_repayment, pa.bool_()),
        *(_decimals(values) for values in (takes.take_from, takes.take_to, takes.lot_from)),
    )
    offsets = np.searchsorted(takes.account, np.arange(len(amounts) + 1))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()),
        pa.StructArray.from_arrays(columns, fields=[pa.field(*field) for field in _FIELDS.items()]),
    )


def _ragged(lists: pa.ChunkedArray) -> Ragged:
    """The numbers of lists: 64-bit integers if they all fit, else Python's own."""
    whole = lists.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], lists.type)
    offsets = whole.offsets.to_numpy()
    numbers = whole.values.slice(offsets[0], offsets[-1] - offsets[0])
    try:
        values: Array = numbers.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        values = np.array([int(number) for number in numbers.to_pylist()], dtype=object)
    return Ragged(values, offsets - offsets[0])


def _decimals(values: Array) -> pa.Array:
    if values.dtype == object:
        return pa.array(list(map(int, values)), _AMOUNT)
    return pa.array(values).cast(_AMOUNT)
