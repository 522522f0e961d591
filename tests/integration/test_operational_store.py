"""The operational store on SQLite and on PostgreSQL: the same history, the same answers."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from billing import store as store_module
from billing.accounts import (
    StoreAccounts,
    add_account,
    declare_accounts,
    declared_account_ids,
    get_account,
    list_accounts,
    set_account,
)
from billing.alerts.outbox import Message, Refused, Waiting, deliver, put, waiting
from billing.exports import EXPORTED, StoreExport, export_schema
from billing.rate_card import make_rate
from billing.rates import add_rates, add_sample_rates, import_rates, list_rates
from billing.schema import account, account_term, metadata, rate
from billing.store import HEAD_REVISION, Store, current_revision, open_store
from billing.validation import BEGINNING
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of a store that does not exist yet, on either database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("METERHOUSE_OPERATIONS_URL", url)
    return Settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


def test_a_new_store_is_at_the_newest_revision_and_opens_again(settings: Settings) -> None:
    for _ in range(2):
        with open_store(settings) as opened:
            assert current_revision(opened) == HEAD_REVISION


def test_the_newest_revision_is_the_histories_only_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "billing" / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_a_migration_that_fails_leaves_nothing_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    upgrade = command.upgrade

    def interrupted(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "upgrade", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_store(settings)
    monkeypatch.setattr(store_module, "_migrate", lambda _: None)
    with open_store(settings) as opened, opened.reading() as connection:
        assert sa.inspect(connection).get_table_names() == []
    monkeypatch.undo()


def test_a_store_of_a_newer_meterhouse_is_refused(settings: Settings) -> None:
    with open_store(settings) as opened, opened.writing() as connection:
        connection.execute(sa.text("update alembic_version set version_num = 'later'"))
    with pytest.raises(MeterhouseError, match="used by a newer one"):
        open_store(settings)


def test_an_account_is_stored_with_the_beginning_as_its_first_term(store: Store) -> None:
    added = add_account(
        store,
        "acme",
        name="Acme",
        time_zone="Asia/Tokyo",
        currency="jpy",
        email="a@b.example",
        plan="postpaid",
        overage_price="1.5",
        actor="ann",
        now=NOW,
    )
    assert (added.created_at, added.created_by) == (NOW, "ann")
    term = added.current
    assert (term.effective_from, term.name, term.time_zone) == (BEGINNING, "Acme", "Asia/Tokyo")
    assert (term.currency, term.email, term.plan) == ("JPY", "a@b.example", "postpaid")
    assert list_accounts(store, now=NOW) == [added]


def test_an_account_cannot_be_added_twice(store: Store) -> None:
    add_account(store, "acme", name="first")
    with pytest.raises(MeterhouseError, match="acme exists already"):
        add_account(store, "acme", name="second")
    assert get_account(store, "acme").current.name == "first"


def test_a_plan_that_invoices_overage_needs_its_price(store: Store) -> None:
    with pytest.raises(MeterhouseError, match="postpaid invoices overage and needs its price"):
        add_account(store, "acme", plan="postpaid", now=NOW)
    add_account(store, "acme", now=NOW)
    with pytest.raises(MeterhouseError, match="such as --overage-price"):
        set_account(store, "acme", {"plan": "prepaid_with_overage"}, now=NOW)
    set_account(store, "acme", {"plan": "postpaid", "overage_price": "0.01"}, now=NOW)
    with pytest.raises(MeterhouseError, match="needs its price"):
        set_account(store, "acme", {"overage_price": None}, now=NOW)
    with pytest.raises(MeterhouseError, match="0.01, is in USD; a change to EUR needs another"):
        set_account(store, "acme", {"currency": "EUR"}, now=NOW)
    terms = set_account(store, "acme", {"currency": "EUR", "overage_price": "0.009"}, now=NOW)
    assert [(term.currency, term.overage_price) for term in terms] == [("EUR", Decimal("0.009"))]
    assert set_account(store, "acme", {"plan": "prepaid", "overage_price": None}, now=NOW)


def test_an_account_with_a_bad_field_is_not_added(store: Store) -> None:
    with pytest.raises(MeterhouseError, match="did you mean Europe/Berlin"):
        add_account(store, "acme", time_zone="Europe/Berln")
    assert declared_account_ids(store) == set()


def test_a_change_of_plan_holds_from_next_month_and_one_of_name_from_this(store: Store) -> None:
    add_account(store, "acme", now=NOW)
    changes = {"plan": "postpaid", "overage_price": "0.01", "name": "Acme"}
    terms = set_account(store, "acme", changes, now=NOW)
    assert [(t.effective_from, t.name, t.plan) for t in terms] == [
        (date(2026, 11, 1), "Acme", "prepaid"),
        (date(2026, 12, 1), "Acme", "postpaid"),
    ]
    assert all(term.term_id for term in terms)
    found = get_account(store, "acme", now=NOW)
    assert found.current == terms[0]
    assert found.upcoming == (terms[1],)
    assert get_account(store, "acme", now=datetime(2026, 12, 1, tzinfo=UTC)).current == terms[1]


def test_a_change_may_name_its_month_and_an_email_may_be_removed(store: Store) -> None:
    add_account(store, "acme", email="a@b.example", now=NOW)
    set_account(
        store, "acme", {"currency": "EUR", "email": None}, effective_from=date(2026, 3, 1), now=NOW
    )
    current = get_account(store, "acme", now=NOW).current
    assert (current.effective_from, current.currency, current.email) == (
        date(2026, 3, 1),
        "EUR",
        None,
    )


def test_a_change_that_changes_nothing_records_nothing(store: Store) -> None:
    add_account(store, "acme")
    assert set_account(store, "acme", {"plan": "prepaid"}) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, "nothing to change"),
        ({"colour": "red"}, "has no colour"),
        ({"plan": None}, "has no plan that could be set to None"),
        ({"email": "a@b.example\nBcc: x@y.example"}, "line break"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    store: Store, changes: dict[str, str | None], complaint: str
) -> None:
    add_account(store, "acme")
    with pytest.raises(MeterhouseError, match=complaint):
        set_account(store, "acme", changes)


def test_a_change_of_an_unknown_account_or_within_a_month_is_refused(store: Store) -> None:
    with pytest.raises(MeterhouseError, match="no account nobody"):
        set_account(store, "nobody", {"name": "x"})
    with pytest.raises(MeterhouseError, match="only at the start of a month"):
        set_account(store, "nobody", {"name": "x"}, effective_from=date(2026, 3, 2))


def test_declaring_many_ids_creates_what_is_new_and_refuses_what_cannot_be(store: Store) -> None:
    add_account(store, "b", name="Bee")
    declared = declare_accounts(store, ["c", "b", "a", "a", "bad id"])
    assert (declared.created, declared.existing) == (("a", "c"), ("b",))
    assert list(declared.refused) == ["bad id"]
    assert declare_accounts(store, ["a", "b", "c"]).created == ()
    assert declared_account_ids(store) == {"a", "b", "c"}
    term = get_account(store, "a").current
    assert (term.name, term.time_zone, term.currency, term.plan) == ("a", "UTC", "USD", "prepaid")
    assert get_account(store, "b").current.name == "Bee"


def test_the_loader_learns_which_of_its_accounts_now_exist(store: Store) -> None:
    accounts = StoreAccounts(store)
    assert accounts.declare(["a", "no good", "b"]) == ("a", "b")
    assert accounts.declared() == {"a", "b"}


def test_a_rate_comes_back_with_every_digit(store: Store) -> None:
    given = make_rate("llm", "gpt-5", "input_token", "123456789012.123456789012", "2026-01-01")
    outcome = add_rates(store, [given], now=NOW)
    assert (len(outcome.added), outcome.unchanged) == (1, 0)
    (listed,) = list_rates(store)
    assert listed == outcome.added[0]
    assert listed.credits_per_unit == Decimal("123456789012.123456789012")
    assert listed.effective_from == datetime(2026, 1, 1, tzinfo=UTC)


def test_rates_are_added_all_or_none(store: Store) -> None:
    add_rates(store, [make_rate("sql", None, "call", "1", "2026-01-01")], now=NOW)
    offered = [
        make_rate("text", None, "call", "1", "2026-01-01"),
        make_rate("sql", None, "call", "2", "2026-02-01"),
    ]
    with pytest.raises(MeterhouseError, match="or before 2026-01-01"):
        add_rates(store, offered, now=NOW)
    assert len(list_rates(store)) == 1


def test_importing_a_file_twice_adds_it_once(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(
        "category,model,unit,credits_per_unit,effective_from\n"
        "llm,,input_token,0.000001,2026-01-01\nllm,gpt-5,input_token,0.000002,2026-01-01\n"
    )
    assert len(import_rates(store, file, now=NOW).added) == 2
    again = import_rates(store, file, now=NOW)
    assert (again.added, again.unchanged) == ((), 2)


def test_a_file_that_cannot_be_imported_is_named(store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "missing.csv", bad):
        with pytest.raises(MeterhouseError, match=f"{file.name} cannot be read"):
            import_rates(store, file)
    bad.write_text("a,b\n")
    with pytest.raises(MeterhouseError, match=r"bad\.csv: the first line must name"):
        import_rates(store, bad)


def test_the_sample_rate_card_is_added_once_and_never_over_another(store: Store) -> None:
    first = add_sample_rates(store)
    assert first.added
    assert add_sample_rates(store).added == ()
    assert len(list_rates(store)) == len(first.added)


def test_the_sample_rate_card_leaves_another_card_alone(store: Store) -> None:
    add_rates(store, [make_rate("llm", None, "call", "1", "2026-01-01")])
    assert add_sample_rates(store).added == ()
    assert len(list_rates(store)) == 1


def test_what_was_recorded_cannot_be_changed_or_deleted(store: Store) -> None:
    add_account(store, "acme")
    add_rates(store, [make_rate("sql", None, "call", "1", "2026-01-01")])
    for statement in (
        sa.update(account_term).values(name="x"),
        sa.delete(account_term),
        sa.update(rate).values(credits_per_unit=Decimal(2)),
        sa.delete(rate),
    ):
        with (
            pytest.raises(sa.exc.DBAPIError, match="append-only"),
            store.writing() as connection,
        ):
            connection.execute(statement)


def test_an_error_within_a_transaction_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(RuntimeError), store.writing() as connection:
        connection.execute(sa.insert(account).values(id="x", created_at=NOW, created_by="y"))
        raise RuntimeError
    assert declared_account_ids(store) == set()


def test_a_time_without_a_zone_is_never_stored(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="has no time zone"):
        add_account(store, "acme", now=datetime(2026, 1, 1))


def test_the_export_holds_what_lies_above_a_position(store: Store) -> None:
    export = StoreExport(store)
    for name in EXPORTED:
        assert export.after(name, 0).schema == export_schema(name)
    add_account(store, "a", time_zone="Asia/Tokyo", now=NOW)
    add_account(store, "b", now=NOW)
    add_rates(store, [make_rate("sql", None, "call", "0.1", "2026-01-01T00:00:00+02:00")])
    terms = export.after("account_term", 0).to_pylist()
    assert [row["account_id"] for row in terms] == ["a", "b"]
    assert (terms[0]["time_zone"], terms[0]["recorded_at"]) == (
        "Asia/Tokyo",
        NOW.replace(tzinfo=None),
    )
    assert [
        r["account_id"] for r in export.after("account_term", terms[0]["term_id"]).to_pylist()
    ] == ["b"]
    (row,) = export.after("rate", 0).to_pylist()
    assert (row["credits_per_unit"], row["effective_from"]) == (
        Decimal("0.1"),
        datetime(2025, 12, 31, 22),
    )


RACE = """
import sys, time
from billing.accounts import add_account
from billing.store import open_store
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings

time.sleep(max(0, float(sys.argv[1]) - time.time()))
with open_store(load_settings()) as store:
    try:
        add_account(store, "acme", name=sys.argv[2])
        print("added")
    except MeterhouseError as error:
        print(error)
"""


def test_processes_that_create_the_store_and_the_account_at_once_make_one_of_each(
    settings: Settings,
) -> None:
    start = str(time.time() + 4)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, start, f"process {number}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    outcomes = [process.communicate(timeout=120) for process in processes]
    said = sorted(out.strip().split(";")[0] for out, _ in outcomes)
    assert said == ["added", *["the account acme exists already"] * 3], outcomes
    with open_store(settings) as opened:
        assert declared_account_ids(opened) == {"acme"}
        assert len(StoreExport(opened).after("account_term", 0)) == 1


def test_a_store_in_a_file_is_in_write_ahead_mode_and_readers_do_not_wait(tmp_path: Path) -> None:
    with open_store(Settings(home=tmp_path, operations_url="")) as opened:
        with opened.writing() as writer:
            writer.execute(sa.insert(account).values(id="x", created_at=NOW, created_by="y"))
            assert declared_account_ids(opened) == set()
        with opened.reading() as connection:
            assert connection.execute(sa.text("pragma journal_mode")).scalar() == "wal"


def test_a_busy_store_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", 0)
    settings = Settings(home=tmp_path, operations_url="")
    with (
        open_store(settings) as first,
        open_store(settings) as second,
        first.writing(),
        pytest.raises(MeterhouseError, match="has been busy"),
    ):
        add_account(second, "acme")


def test_a_busy_store_on_postgresql_says_so(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", 1)
    settings = Settings(home=tmp_path, operations_url=postgres_url)
    with (
        open_store(settings) as first,
        open_store(settings) as second,
        first.writing(),
        pytest.raises(MeterhouseError, match="has been busy"),
    ):
        add_account(second, "acme")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("no url", "is no database URL"),
        ("mysql://u:secret@localhost/x", r"not mysql://u:\*\*\*@localhost/x"),
        ("sqlite://", "can be a SQLite file"),
        ("postgresql://u:secret@127.0.0.1:1/x", r"u:\*\*\*@127\.0\.0\.1:1/x cannot be used"),
    ],
)
def test_a_store_that_cannot_be_reached_is_a_clear_error_without_the_password(
    url: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(MeterhouseError, match=complaint) as error:
        open_store(Settings(home=tmp_path, operations_url=url))
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "operations.sqlite"
    file.write_text("this is no database, and long enough for SQLite to notice it is none" * 20)
    with pytest.raises(MeterhouseError, match="is it a SQLite database"):
        open_store(Settings(home=tmp_path, operations_url=""))


def test_the_old_spelling_of_a_postgresql_url_is_understood(
    postgres_url: str, tmp_path: Path
) -> None:
    old = postgres_url.replace("postgresql://", "postgres://")
    with open_store(Settings(home=tmp_path, operations_url=old)) as opened:
        assert current_revision(opened) == HEAD_REVISION


def test_the_outbox_tells_how_full_it_is_and_since_when(store: Store) -> None:
    add_account(store, "acme")
    with store.writing() as connection:
        for number in range(4):
            message = Message(f"r{number}", "acme", "mail", "a@acme.example", "subject", "text")
            put(connection, message, None, "acme.example", NOW)
    assert waiting(store) == Waiting(0, 0, 4, NOW)

    def send(message: Message) -> None:
        if message.reference == "r1":
            raise Refused("no such address")
        if message.reference == "r2":
            raise OSError("not now")

    deliver(store, send, clock=lambda: NOW)
    assert waiting(store) == Waiting(sent=2, given_up=1, waiting=1, oldest_at=NOW)
