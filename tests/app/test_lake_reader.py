"""The shared connections follow what is published, from any thread."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.lake import LakeReader
from tests.app.reporting_lake import make_raw_lake, publish_head
from warehouse.errors import MeterhouseError
from warehouse.lake import writing
from warehouse.publication import reading_published
from warehouse.settings import Settings

CREDITS = "select sum(credits) from marts.main.rpt_overview_month"


@pytest.fixture
def settings(own_lake: Settings) -> Settings:
    return own_lake


@pytest.fixture
def lake(settings: Settings):
    lake = LakeReader(settings)
    yield lake
    lake.close()


def test_a_settled_figure_stays_while_the_marts_are_rewritten(settings, lake):
    published = lake.publication()
    before = lake.rows(CREDITS, {}, publication=published)
    with writing(settings, "marts") as connection:
        connection.execute("delete from marts.main.rpt_overview_month")
    assert lake.publication() == published
    assert lake.rows(CREDITS, {}, publication=published) == before
    assert lake.rows(CREDITS, {}) == [(None,)]


def test_a_new_publication_is_noticed_at_the_next_question(settings, lake):
    first = lake.publication()
    lake.rows(CREDITS, {}, publication=first)
    with writing(settings, "marts") as connection:
        connection.execute("update marts.main.rpt_overview_month set credits = 1")
        publish_head(connection, first.raw_snapshot)
    second = lake.publication()
    assert second.publication_id == first.publication_id + 1
    count = lake.rows("select count(*) from marts.main.rpt_overview_month", {})
    assert lake.rows(CREDITS, {}, publication=second) == count


def test_lakes_that_appear_later_are_found(tmp_path):
    lake = LakeReader(Settings(home=tmp_path / "later"))
    assert lake.publication() is None
    assert not lake.has_lake("raw")
    make_raw_lake(lake.settings)
    assert lake.has_lake("raw")
    assert lake.publication() is None
    assert not lake.has_table("marts.meta.check_result")
    lake.close()


def test_many_threads_ask_at_once_while_publications_move(settings, lake):
    def ask(_: int) -> bool:
        publication = lake.publication()
        (total,) = lake.rows(CREDITS, {}, publication=publication)[0]
        (parts,) = lake.rows(
            "select sum(credits) from marts.main.rpt_overview_category",
            {},
            publication=publication,
        )[0]
        return total == parts

    with ThreadPoolExecutor(6) as pool:
        asked = pool.map(ask, range(24))
        for _ in range(3):
            with writing(settings, "marts") as connection:
                for model in ("month", "category"):
                    connection.execute(
                        f"insert into marts.main.rpt_overview_{model}"
                        f" select * from marts.main.rpt_overview_{model}"
                    )
                publish_head(connection, 1)
        assert all(asked)


def test_asking_where_the_pointer_is_leaves_the_catalog_its_locks(settings, lake):
    """A second SQLite in the process would end it with a bus error here."""

    def ask(_: int) -> int:
        return lake.publication().publication_id

    with ThreadPoolExecutor(8) as pool:
        asked = pool.map(ask, range(1600))
        for _ in range(5):
            with writing(settings, "marts") as connection:
                publish_head(connection, 1)
        seen = list(asked)
    assert lake.publication().publication_id == 6
    assert set(seen) <= set(range(1, 7))


def test_a_connection_that_was_closed_is_opened_again(lake):
    published = lake.publication()
    before = lake.rows(CREDITS, {}, publication=published)
    lake.close()
    assert lake.rows(CREDITS, {}, publication=published) == before
    assert lake.publication() == published


@pytest.mark.parametrize(
    "sql", ["select 1 from marts.main.rpt_new", "select new from marts.main.rpt_usage_model"]
)
def test_what_another_version_built_is_told_with_what_to_do(lake, sql):
    with pytest.raises(MeterhouseError, match="meterhouse refresh"):
        lake.rows(sql, {}, publication=lake.publication())


def test_the_reader_sees_what_the_warehouse_publishes(settings, lake):
    connection, publication = reading_published(settings)
    try:
        assert lake.publication() == publication
        expected = connection.execute(CREDITS).fetchall()
    finally:
        connection.close()
    assert lake.rows(CREDITS, {}, publication=publication) == expected


def test_a_settled_answer_is_asked_for_once_a_publication(settings, lake, monkeypatch):
    asked = []
    rows = lake.rows

    def counted(*arguments, **named):
        asked.append(named["publication"])
        return rows(*arguments, **named)

    monkeypatch.setattr(lake, "rows", counted)
    question = "select sum(credits), count(*) from marts.main.rpt_overview_month where true"
    first = lake.publication()
    before = [lake.settled_rows(question, {}, first) for _ in range(3)]
    with writing(settings, "marts") as connection:
        connection.execute("update marts.main.rpt_overview_month set credits = 1")
        publish_head(connection, first.raw_snapshot)
    second = lake.publication()
    after = [lake.settled_rows(question, {}, second) for _ in range(3)]
    assert asked == [first, second]
    assert before[0] == before[2] and after[0] == after[2] and before[0] != after[0]
    lake.close()
    assert lake.settled_rows(question, {}, second) == after[0]
    assert asked == [first, second, second]


def test_settled_answers_are_kept_within_bounds(lake, monkeypatch):
    monkeypatch.setattr("app.lake.KEPT_ANSWERS", 2)
    monkeypatch.setattr("app.lake.KEPT_ROWS", 3)
    published = lake.publication()

    def kept(question: str) -> int:
        lake.settled_rows(question, {}, published)
        return len(lake._settled.get(published, {}))

    assert kept("select 1 where false") == 0
    assert kept("select * from range(4)") == 0
    assert [kept(f"select {number}") for number in range(4)] == [1, 2, 2, 2]


def test_the_published_state_can_be_opened_before_anybody_asks(lake, tmp_path):
    lake.open_published()
    assert list(lake._pins) == [lake.publication()]
    empty = LakeReader(Settings(home=tmp_path / "empty"))
    empty.open_published()
    empty.close()
