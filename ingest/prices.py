"""Brings provider prices into the raw lake, and what the price list calls each model seen.

Each release of the package ``genai-prices`` is appended once, so an upgrade adds rows and
changes none. The package is read only when there is something to record.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from ingest.tables import ensure_tables, next_load_id
from warehouse.lake import Connection

_PRICES = pa.schema(
    [
        ("provider", pa.string()),
        ("price_model", pa.string()),
        ("token_kind", pa.string()),
        ("usd_per_mtok", pa.decimal128(24, 12)),
        ("effective_from", pa.timestamp("us")),
        ("day_start", pa.time64("us")),
        ("day_end", pa.time64("us")),
        ("tier_start", pa.int64()),
    ]
)
_MATCHES = pa.schema([(name, pa.string()) for name in ("model", "provider", "price_model")]).append(
    pa.field("model_name", pa.string())
)


@dataclass(frozen=True)
class PricesSynced:
    """How many list prices of ``release`` were appended; ``load_id`` is None when it was there."""

    load_id: int | None
    release: str
    prices: int


@dataclass(frozen=True)
class ModelsMatched:
    """How many model names were looked up, and those the price list does not know.

    ``load_id`` is None when there was no new name.
    """

    load_id: int | None
    models: int
    unknown: tuple[str, ...]


def sync_prices(connection: Connection) -> PricesSynced:
    """Append the installed release's list prices to ``raw.main.model_price``, once.

    One transaction with one row of audit (kind ``prices``). Call it on a connection from
    ``warehouse.lake.writing``, whose lock it needs.
    """
    started, release = _now(), _release()
    ensure_tables(connection)
    known = connection.execute(
        "select 1 from raw.main.model_price where release = ? limit 1", [release]
    ).fetchone()
    if known:
        return PricesSynced(None, release, 0)
    from ingest.price_list import list_prices

    rows = [
        (
            *row[:4],
            datetime.combine(row.effective_from, time()),
            _microseconds(row.day_start),
            _microseconds(row.day_end),
            row.tier_start,
        )
        for row in list_prices()
    ]
    load_id = _record(connection, "model_price", _table(rows, _PRICES), release, started)
    return PricesSynced(load_id, release, len(rows))


def match_models(connection: Connection) -> ModelsMatched:
    """Append to ``raw.main.model_match`` what the price list calls each model name seen.

    A name is looked up once a release; names the list does not know get a row without a
    provider. One transaction with one row of audit (kind ``prices``), and only when there is a
    new name; call it under the loader's lock.
    """
    started, release = _now(), _release()
    ensure_tables(connection)
    # Every name of a batch below the newest match was looked up, then or before, so that only
    # later batches are searched. A load that was killed before its names were is among these.
    # Written out as a number, since files are passed over by their statistics only then.
    searched = connection.execute(
        "select coalesce(max(load_id), 0) from raw.main.model_match"
    ).fetchone()
    assert searched is not None
    new_names = connection.execute(
        f"""
        with names as (
            select model from raw.main.usage_event
            where model is not null and load_id > {int(searched[0])}
            union
            select model from raw.main.model_match
        )

        select model from names
        where model not in (select model from raw.main.model_match where release = ?)
        order by model
        """,
        [release],
    ).fetchall()
    if not new_names:
        return ModelsMatched(None, 0, ())
    from ingest.price_list import match_model

    rows: list[tuple[str, str | None, str | None, str | None]] = []
    for (name,) in new_names:
        found = match_model(name)
        rows.append(
            (name, found.provider, found.price_model, found.model_name)
            if found
            else (name, None, None, None)
        )
    load_id = _record(connection, "model_match", _table(rows, _MATCHES), release, started)
    unknown = tuple(name for name, provider, *_ in rows if provider is None)
    return ModelsMatched(load_id, len(rows), unknown)


def _release() -> str:
    return version("genai-prices")


def _record(
    connection: Connection, table: str, rows: pa.Table, release: str, started: datetime
) -> int:
    """Append ``rows`` and their row of audit in one transaction; the load_id."""
    connection.execute("begin")
    try:
        load_id = next_load_id(connection)
        recorded_at = _now()
        connection.register("new_rows", rows)
        connection.execute(
            f"insert into raw.main.{table} by name select $load_id as load_id,"
            " $release as release, *, $recorded_at as recorded_at from new_rows",
            {"load_id": load_id, "release": release, "recorded_at": recorded_at},
        )
        connection.execute(
            "insert into raw.main.load by name select"
            " $load_id as load_id, 'prices' as kind, 'genai-prices' as source, $path as path,"
            " $content_hash as content_hash, $size_bytes as size_bytes, 0 as line_count,"
            " $rows as rows_read, $rows as rows_loaded, 0 as rows_duplicate,"
            " 0 as rows_rejected, $started as started_at, $finished as finished_at",
            {
                "load_id": load_id,
                "path": f"genai-prices {release}: {table}",
                "content_hash": _content_hash(rows),
                "size_bytes": rows.nbytes,
                "rows": rows.num_rows,
                "started": started,
                "finished": _now(),
            },
        )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    finally:
        connection.unregister("new_rows")
    return load_id


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [
        pa.array(column, type=pa.int64()).cast(field.type)
        if pa.types.is_time(field.type)
        else pa.array(column, type=field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _microseconds(since_midnight: timedelta | None) -> int | None:
    return None if since_midnight is None else since_midnight // timedelta(microseconds=1)


def _content_hash(rows: pa.Table) -> str:
    """SHA-256 of the rows as text, in their order."""
    digest = hashlib.sha256()
    for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
