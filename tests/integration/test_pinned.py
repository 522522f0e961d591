"""A lake that is read by a copy of its catalog is the same lake."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.small_lake import build_published, run, settings_at
from warehouse.lake import Connection, attach, open_engine, writing
from warehouse.pinned import attach_pinned
from warehouse.publication import reading_published
from warehouse.settings import Settings

EVERY_TYPE = """
create table marts.main.every_type (
    a boolean, b tinyint, c smallint, d integer, e bigint, f decimal(18, 9), g decimal(38, 12),
    h double, i date, j timestamp, k varchar, "l ""m"" n" integer, o ubigint
);
insert into marts.main.every_type values
    (true, 1, 2, 3, 4, 5.000000001, 12345678901234567890.123456789012, 0.1, '2026-11-01',
        '2026-11-01 10:00:00.123456', 'it''s "é"', 6, 18446744073709551615),
    (null, null, null, null, null, null, null, null, null, null, null, null, null)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_at(tmp_path)
    build_published(settings)
    return settings


def content(connection: Connection, table: str) -> list[tuple[object, ...]]:
    types = connection.execute(f"describe marts.main.{table}").fetchall()
    return types + connection.execute(f"from marts.main.{table} order by all").fetchall()


def written(settings: Settings, statements: str) -> int:
    with writing(settings, "marts") as connection:
        return run(connection, statements, "marts")


def assert_same(settings: Settings, snapshot: int, *tables: str) -> None:
    with closing(open_engine(settings)) as copied, closing(open_engine(settings)) as live:
        attach_pinned(copied, settings, "marts", snapshot)
        attach(live, settings, "marts", snapshot=snapshot)
        for table in tables:
            assert content(copied, table) == content(live, table)
            assert content(copied, table)[-1], "there is something to compare"


def test_every_row_and_type_is_that_of_the_lake(settings: Settings) -> None:
    snapshot = written(settings, EVERY_TYPE)
    assert_same(settings, snapshot, "every_type", "fct_usage", "fct_usage_daily")


def test_rows_that_were_replaced_or_moved_to_files_are_those_of_the_snapshot(
    settings: Settings,
) -> None:
    before = written(settings, "delete from marts.main.fct_usage where event_id = 'e1'")
    after = written(settings, "update marts.main.fct_usage set credits = credits + 1")
    with writing(settings, "marts") as connection:
        connection.execute("call ducklake_flush_inlined_data('marts')")
    for snapshot in (before, after):
        assert_same(settings, snapshot, "fct_usage")


def test_a_column_of_a_type_that_is_not_known_makes_it_ask_the_catalog_itself(
    settings: Settings,
) -> None:
    snapshot = written(
        settings,
        "create table marts.main.odd as select interval '3 days' as a, uuid() as b, [1, 2] as c",
    )
    assert_same(settings, snapshot, "odd", "fct_usage")


def test_a_column_whose_type_changed_makes_it_ask_the_catalog_itself(settings: Settings) -> None:
    written(settings, "create table marts.main.grown as select cast(1 as integer) as a")
    snapshot = written(settings, "alter table marts.main.grown alter a type bigint")
    assert_same(settings, snapshot, "grown", "fct_usage")


def test_a_copy_sees_nothing_of_what_is_written_later_and_leaves_no_file(
    settings: Settings,
) -> None:
    connection, _ = reading_published(settings, is_kept=True)
    with closing(connection):
        before = content(connection, "fct_usage")
        written(settings, "delete from marts.main.fct_usage")
        assert content(connection, "fct_usage") == before
    assert list((settings.home / "tmp" / "catalogs").iterdir()) == []
