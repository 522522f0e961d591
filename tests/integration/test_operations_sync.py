"""Terms, rates, prices and model matches reach a real raw lake once, with one row of audit each."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from billing.accounts import add_account, declare_accounts, set_account
from billing.exports import EXPORTED, StoreExport, export_schema
from billing.rate_card import make_rate
from billing.rates import add_rates
from billing.store import Store, open_store
from ingest import prices
from ingest.operations import SYNCED, OperationsSynced, sync_operations
from ingest.price_list import list_prices
from ingest.prices import match_models, sync_prices
from ingest.tables import ensure_tables
from warehouse.lake import Connection, writing
from warehouse.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", catalog_url="", data_path="", operations_url="")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


@pytest.fixture
def raw(settings: Settings) -> Iterator[Connection]:
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        yield connection


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def log_usage(connection: Connection, load_id: int, *models: str | None) -> None:
    """One event of each model, in batch ``load_id``."""
    connection.execute(
        "insert into raw.main.usage_event by name select $load_id as load_id,"
        " row_number() over () as line_number, 'test' as source, uuid()::varchar as event_id,"
        " 0 as revision, false as is_withdrawn, 0 as identity_hash, 'acme' as account_id,"
        " 'agent' as agent_id, 'llm' as category, model, timestamp '2026-04-21' as occurred_at,"
        " date '2026-04-21' as usage_date_utc, 'ok' as status"
        " from (select unnest($models::varchar[]) as model)",
        {"load_id": load_id, "models": list(models)},
    )


def audit_of(load_id: int) -> str:
    """A query for the row of audit of batch ``load_id``."""
    return (
        f"select {load_id} as load_id, 'file' as kind, 'test' as source, 'log' as path,"
        " '' as content_hash, 0 as size_bytes, 0 as line_count, 0 as rows_read, 0 as rows_loaded,"
        " 0 as rows_duplicate, 0 as rows_rejected, now()::timestamp as started_at,"
        " now()::timestamp as finished_at"
    )


def test_an_empty_store_leaves_the_lake_as_it_is(store: Store, raw: Connection) -> None:
    assert sync_operations(raw, StoreExport(store)) == OperationsSynced()
    assert rows(raw, "from raw.main.load") == []


def test_terms_and_rates_arrive_exactly_in_one_batch(store: Store, raw: Connection) -> None:
    add_account(
        store,
        "acme",
        name="Acme",
        time_zone="Asia/Tokyo",
        currency="JPY",
        email="a@b.example",
        plan="postpaid",
        overage_price="1.5",
        now=NOW,
    )
    add_rates(
        store, [make_rate("llm", "gpt-5", "input_token", "0.000000000001", "2026-01-01")], now=NOW
    )
    assert sync_operations(raw, StoreExport(store)) == OperationsSynced(
        1, {"account_term": 1, "rate": 1}
    )
    at = NOW.replace(tzinfo=None)
    assert rows(raw, "from raw.main.account_term") == [
        (
            *(1, 1, "acme", date(1970, 1, 1), "Acme", "Asia/Tokyo", "JPY", "a@b.example"),
            *("postpaid", Decimal("1.5"), at),
        )
    ]
    assert rows(raw, "from raw.main.rate") == [
        (1, 1, "llm", "gpt-5", "input_token", Decimal("0.000000000001"), datetime(2026, 1, 1), at)
    ]
    assert rows(
        raw,
        "select load_id, kind, rows_read, rows_loaded, rows_duplicate + rows_rejected,"
        " length(content_hash), started_at <= finished_at from raw.main.load",
    ) == [(1, "operations", 2, 2, 0, 64, True)]


def test_every_exported_table_fits_the_raw_table_that_takes_it(raw: Connection) -> None:
    assert {name: key for name, (_, key) in EXPORTED.items()} == SYNCED
    for name in EXPORTED:
        columns = rows(raw, f"select column_name from (describe raw.main.{name})")
        found = [column[0] for column in columns]
        assert found == ["load_id", *export_schema(name).names], name


def test_a_lake_of_an_older_version_gets_the_columns_it_lacks(
    store: Store, raw: Connection
) -> None:
    raw.execute("alter table raw.main.account_term drop column overage_price")
    add_account(store, "acme", now=NOW)
    sync_operations(raw, StoreExport(store))
    assert rows(raw, "select overage_price from raw.main.account_term") == [(None,)]


def test_only_what_is_new_is_taken_over(store: Store, raw: Connection) -> None:
    add_account(store, "acme", now=NOW)
    export = StoreExport(store)
    assert sync_operations(raw, export).load_id == 1
    assert sync_operations(raw, export).load_id is None
    set_account(store, "acme", {"plan": "postpaid", "overage_price": "0.01"}, now=NOW)
    add_account(store, "zenith", now=NOW)
    assert sync_operations(raw, export) == OperationsSynced(2, {"account_term": 2})
    assert rows(raw, "select load_id, term_id, plan from raw.main.account_term order by 2") == [
        (1, 1, "prepaid"),
        (2, 2, "postpaid"),
        (2, 3, "prepaid"),
    ]
    assert len(rows(raw, "from raw.main.load")) == 2


def test_thousands_of_accounts_arrive_in_one_batch(store: Store, raw: Connection) -> None:
    declare_accounts(store, [f"account-{number}" for number in range(3000)])
    assert sync_operations(raw, StoreExport(store)) == OperationsSynced(1, {"account_term": 3000})
    assert rows(raw, "select count(distinct account_id) from raw.main.account_term") == [(3000,)]


def test_a_sync_that_fails_leaves_nothing_and_the_next_one_makes_it_good(
    store: Store, raw: Connection
) -> None:
    add_account(store, "acme")

    class Broken(StoreExport):
        def after(self, name: str, position: int) -> pa.Table:
            if name != "rate":
                return super().after(name, position)
            return pa.table({column: pa.array(["x"]) for column in export_schema("rate").names})

    with pytest.raises(Exception, match="Could not convert"):
        sync_operations(raw, Broken(store))
    assert rows(raw, "from raw.main.account_term") == rows(raw, "from raw.main.load") == []
    assert sync_operations(raw, StoreExport(store)) == OperationsSynced(1, {"account_term": 1})


def test_a_store_on_postgresql_arrives_just_the_same(
    postgres_url: str, tmp_path: Path, raw: Connection
) -> None:
    with open_store(Settings(home=tmp_path, operations_url=postgres_url)) as opened:
        add_account(opened, "acme", now=NOW)
        add_rates(opened, [make_rate("sql", None, "call", "0.1", "2026-01-01")], now=NOW)
        assert sync_operations(raw, StoreExport(opened)) == OperationsSynced(
            1, {"account_term": 1, "rate": 1}
        )
    assert rows(raw, "select recorded_at, credits_per_unit from raw.main.rate") == [
        (NOW.replace(tzinfo=None), Decimal("0.1"))
    ]


def test_a_release_of_prices_is_recorded_once(raw: Connection) -> None:
    first = sync_prices(raw)
    assert (first.load_id, first.prices) == (1, len(list_prices()))
    assert sync_prices(raw).load_id is None
    assert rows(raw, "select kind, rows_read, rows_loaded from raw.main.load") == [
        ("prices", first.prices, first.prices)
    ]
    assert rows(
        raw,
        "select count(distinct (provider, price_model, token_kind, effective_from, day_start,"
        " tier_start)) = count(*), count(*) filter (release = '" + first.release + "') = count(*)"
        " from raw.main.model_price",
    ) == [(True, True)]


def test_prices_in_the_lake_are_those_of_the_list_to_the_last_digit(raw: Connection) -> None:
    sync_prices(raw)
    stored = rows(
        raw,
        "select provider, price_model, token_kind, usd_per_mtok, effective_from::date,"
        " (extract(epoch from day_start) * 1e6)::bigint,"
        " (extract(epoch from day_end) * 1e6)::bigint, tier_start from raw.main.model_price",
    )

    def microseconds(part: Any) -> int | None:
        return None if part is None else round(part.total_seconds() * 1_000_000)

    listed = {
        (*row[:5], microseconds(row.day_start), microseconds(row.day_end), row.tier_start)
        for row in list_prices()
    }
    assert set(stored) == listed
    assert any(part == 86_400_000_000 for *_, part, _ in stored)


def test_a_new_release_is_appended_and_changes_no_row(
    raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_prices(raw)
    log_usage(raw, 2, "gpt-5")
    raw.execute("insert into raw.main.load by name " + audit_of(2))
    match_models(raw)
    before = rows(raw, "from raw.main.model_price order by all")
    monkeypatch.setattr(prices, "_release", lambda: "99.0.0")
    assert sync_prices(raw).load_id is not None
    assert rows(raw, "from raw.main.model_price where release <> '99.0.0' order by all") == before
    assert match_models(raw).models == 1
    assert len(rows(raw, "from raw.main.model_match where model = 'gpt-5'")) == 2


def test_each_model_name_is_looked_up_once_and_the_unknown_ones_are_named(raw: Connection) -> None:
    log_usage(raw, 1, "azure/DeepSeek-V3.2", "gpt-5", "gpt-5", None, "warehouse-m")
    raw.execute("insert into raw.main.load by name " + audit_of(1))
    first = match_models(raw)
    assert (first.load_id, first.models, first.unknown) == (2, 3, ("warehouse-m",))
    assert rows(
        raw, "select model, provider, price_model from raw.main.model_match order by model"
    ) == [
        ("azure/DeepSeek-V3.2", "deepseek", "deepseek-v3.2"),
        ("gpt-5", "openai", "gpt-5"),
        ("warehouse-m", None, None),
    ]
    assert match_models(raw).load_id is None
    assert rows(raw, "select kind, rows_loaded from raw.main.load order by load_id") == [
        ("file", 0),
        ("prices", 3),
    ]


def test_names_of_a_load_that_was_killed_before_they_were_looked_up_are_found_later(
    raw: Connection,
) -> None:
    log_usage(raw, 1, "gpt-5")
    raw.execute("insert into raw.main.load by name " + audit_of(1))
    assert match_models(raw).load_id == 2
    log_usage(raw, 3, "claude-opus-4-7")
    log_usage(raw, 4, "gpt-5", "gemini-2.5-pro")
    raw.execute("insert into raw.main.load by name " + audit_of(4))
    assert match_models(raw).models == 2
    assert match_models(raw).load_id is None
