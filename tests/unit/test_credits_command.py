"""``meterhouse credits``: results on stdout, messages on stderr, decimals as strings."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from billing import audit
from billing.store import open_store
from orchestration.commands.accounts import accounts
from orchestration.commands.credits import credits, moment
from orchestration.commands.members import members
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_HOME", str(tmp_path))
    for name in ("OPERATIONS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "PAYMENTS"):
        monkeypatch.setenv(f"METERHOUSE_{name}", "")
    CliRunner().invoke(accounts, ["add", "acme", "--currency", "EUR", "--time-zone", "Asia/Tokyo"])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(credits, arguments)


def read(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_grant_is_printed_with_its_decimals_as_strings() -> None:
    made = read("grant", "acme", "12.5", "--reason", "welcome", "--expires", "2099-01-01")
    assert (made["credits"], made["remaining"], made["is_new"]) == (
        "12.500000000",
        "12.500000000",
        True,
    )
    assert made["expires_at"] == "2098-12-31T15:00:00+00:00"
    (listed,) = read("lots", "acme")
    assert listed == {name: value for name, value in made.items() if name != "is_new"}
    assert "promo" in run("lots", "acme").stdout


def test_the_same_reference_grants_once() -> None:
    for is_new in (True, False):
        made = read("grant", "acme", "1", "--reason", "r", "--reference", "order 7")
        assert made["is_new"] is is_new
    assert (
        "had granted already"
        in run("grant", "acme", "1", "--reason", "r", "--reference", "order 7").stderr
    )
    assert len(read("lots", "acme")) == 1


def test_a_table_is_not_cut_where_it_is_piped() -> None:
    run("grant", "acme", "123456789.123456789", "--reason", "a long reason " * 8)
    printed = run("lots", "acme").stdout
    assert "123,456,789.123456789" in printed
    assert "promotional" in printed
    assert ("a long reason " * 8).strip() in printed


def test_a_back_dated_grant_says_what_it_means() -> None:
    made = run("grant", "acme", "1", "--reason", "r", "--effective", "2026-01-01")
    assert (made.exit_code, made.stdout) == (0, "")
    assert "back-dated to 2025-12-31 15:00:00 UTC" in made.stderr


def test_an_adjustment_is_under_the_name_of_who_made_it() -> None:
    made = read("adjust", "acme", "3", "--reason", "outage")
    assert made["kind"] == "adjustment"
    assert made["recorded_by"]


def test_a_void_forfeits_what_is_left() -> None:
    made = read("grant", "acme", "5", "--reason", "r")
    ended = read("void", str(made["grant_id"]), "--reason", "mistake")
    assert (ended["remaining"], ended["forfeited"]) == ("0.000000000", "5.000000000")
    assert ended["ended"]["cause"] == "void"
    again = run("void", str(made["grant_id"]), "--reason", "mistake")
    assert isinstance(again.exception, MeterhouseError)


def test_a_refund_of_a_part_pays_in_proportion_and_names_the_lot_that_goes_on() -> None:
    made = read(
        *("grant", "acme", "1000", "--reason", "wire", "--kind", "purchased"), "--paid", "49.00"
    )
    assert (made["paid"], made["currency"]) == ("49.00", "EUR")
    said = run("refund", str(made["grant_id"]), "--credits", "100", "--reason", "asked")
    assert "refunded 4.90 EUR" in said.stderr
    assert "900 credits go on" in said.stderr
    rest = read("lots", "acme")[-1]
    ended = read("refund", str(rest["grant_id"]), "--reason", "all")
    assert ended["remainder_grant_id"] is None
    assert ended["ended"]["refunded"] == "44.10"


def test_packages_are_offered_listed_and_withdrawn() -> None:
    assert read("packages", "list") == []
    assert "nothing is offered" in run("packages", "list").stderr
    made = read(
        *("packages", "add", "team", "--name", "Team", "--credits", "1000", "--bonus", "50"),
        *("--price", "4900", "--currency", "jpy", "--valid-days", "365"),
    )
    assert (made["price"], made["currency"], made["bonus_credits"]) == (
        "4900",
        "JPY",
        "50.000000000",
    )
    assert read("packages", "list") == [made]
    assert "4900 JPY" in run("packages", "list").stdout
    assert read("packages", "list", "--currency", "EUR") == []
    assert read("packages", "withdraw", "team") == [made]
    assert read("packages", "list") == []


def test_an_account_without_usage_has_what_it_was_granted() -> None:
    read("grant", "acme", "5", "--reason", "r")
    found = read("balance", "acme")
    assert (found["balance"], found["pending"]) == ("5.000000000", "0.000000000")
    assert found["runway_days"] is None
    assert run("balance", "acme").stdout == "5 credits\n"


def test_lots_are_listed_with_the_days_of_the_account() -> None:
    read("grant", "acme", "5", "--reason", "r", "--expires", "2099-01-01")
    assert "2099-01-01" in run("lots", "acme").stdout


def test_nothing_bought_is_nothing_to_settle() -> None:
    assert read("purchases", "acme") == []
    assert read("settle") == {
        "granted": 0,
        "expired": 0,
        "mismatched": 0,
        "pending": 0,
        "reversals": 0,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("grant", "acme", "0", "--reason", "r"), "above 0"),
        (("grant", "acme", "-5", "--reason", "r"), "above 0"),
        (("adjust", "acme", "-5", "--reason", "r"), "meterhouse credits void"),
        (("grant", "nobody", "5", "--reason", "r"), "no account nobody"),
        (("grant", "acme", "5", "--reason", "r", "--expires", "soon"), "is no time"),
        (("grant", "acme", "5", "--reason", "r", "--expires", "2020-01-01"), "expire after"),
        (("grant", "acme", "5", "--reason", "r", "--paid", "1"), "are not paid for"),
        (("grant", "acme", "5", "--reason", "r", "--paid", "1", "--currency", "x"), "ISO 4217"),
        (("void", "7", "--reason", "r"), "no lot 7"),
        (("refund", "7", "--reason", "r"), "no lot 7"),
        (("packages", "withdraw", "team"), "is not offered"),
        (("lots", "nobody"), "no account nobody"),
        (("balance", "nobody"), "no account nobody"),
        (("ledger", "acme"), "no ledger yet"),
        (("ledger", "acme", "--from", "soon"), "is no day"),
        (("ledger", "acme", "--from", "2026-11-02", "--to", "2026-11-01"), "must lie before --to"),
        (("ledger", "acme", "--from", "2026-11-01", "--to", "2026-11-01"), "must lie before --to"),
    ],
)
def test_what_cannot_be_is_an_error_for_the_user(
    arguments: tuple[str, ...], complaint: str
) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, MeterhouseError)
    assert complaint in str(result.exception)
    assert result.stdout == ""


def test_members_are_invited_given_roles_listed_and_removed(tmp_path: Path) -> None:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(members, list(arguments))

    def listed() -> list[tuple[str, str, str]]:
        rows = json.loads(run("list", "acme", "--json").stdout)
        return [(row["email"], row["role"], row["state"]) for row in rows]

    assert "has no members yet" in run("list", "acme").stderr
    assert "is admin of acme" in run("role", "acme", "a@b.example", "admin").stderr
    assert "mails are in" in run("invite", "acme", "C@b.example", "--role", "billing").stderr
    assert "c@b.example" in next((tmp_path / "mail").iterdir()).read_text(encoding="utf-8")
    assert listed() == [("a@b.example", "admin", "member"), ("c@b.example", "billing", "invited")]
    assert "withdrew" in run("remove", "acme", "c@b.example").stderr
    assert run("remove", "acme", "a@b.example").exit_code == 0
    assert listed() == []
    assert isinstance(run("remove", "acme", "a@b.example").exception, MeterhouseError)
    with open_store(Settings(home=tmp_path)) as store:
        rows = audit.list_events(store)[::-1]
    told = [(row.action, row.outcome) for row in rows if row.action.startswith("member.")]
    assert told == [
        ("member.role", "allowed"),
        ("member.invite", "allowed"),
        ("member.withdraw", "allowed"),
        ("member.remove", "allowed"),
        ("member.remove", "allowed"),
        ("member.remove", "failed"),
    ]


def test_a_time_without_a_zone_is_the_accounts() -> None:
    assert str(moment("2026-03-01", "Asia/Tokyo")) == "2026-02-28 15:00:00+00:00"
    assert str(moment("2026-03-01T00:00:00Z", "Asia/Tokyo")) == "2026-03-01 00:00:00+00:00"
    assert moment(None, "UTC") is None
