"""Members, packages and lots in the operational store, on SQLite and PostgreSQL."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from billing.accounts import add_account
from billing.burn_down import Usage
from billing.grants import adjust, grant, list_lots, refund, void
from billing.lots import NoUsage, spent_of, summed
from billing.members import list_members, memberships, remove_member, set_member
from billing.packages import (
    add_offer,
    add_sample_offers,
    all_offers,
    list_offers,
    make_offer,
    withdraw_offer,
)
from billing.store import Store, open_store
from billing.usage_sums import LakeUsage
from tests.integration.small_lake import (
    PUBLISHED_AT,
    RAW_LOAD_ID,
    build_marts,
    build_raw,
    run,
    settings_at,
)
from warehouse.errors import MeterhouseError
from warehouse.lake import writing
from warehouse.publication import publish
from warehouse.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NONE = NoUsage()

REPORTING = """
create table marts.main.rpt_credits_usage as
select account_id, usage_date, sum(credits) as credits, min(occurred_at) as first_occurred_at,
    max(occurred_at) as last_occurred_at
from marts.main.fct_usage where credits > 0 group by all;
create table marts.main.rpt_usage_event as select * from marts.main.fct_usage;
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with open_store(Settings(home=tmp_path, operations_url=url)) as opened:
        add_account(opened, "acme", currency="EUR", time_zone="Asia/Tokyo")
        yield opened


class Used:
    """An account that used so much an hour before now."""

    def __init__(self, amount: str, at: datetime = NOW - timedelta(hours=1)) -> None:
        self.events = [Usage(at, Decimal(amount))]

    def between(self, account_id: str, borders: Sequence[datetime]) -> list[Usage]:
        return summed(self.events, borders)


def test_members_have_one_role_until_it_changes_or_they_are_removed(store: Store) -> None:
    set_member(store, "acme", "Ann@Acme.example", "viewer", actor="root", now=NOW)
    set_member(store, "acme", "bob@acme.example", "billing")
    set_member(store, "acme", "ann@acme.example", "admin")
    assert set_member(store, "acme", "ann@acme.example", "admin").role == "admin"
    found = [(member.email, member.role) for member in list_members(store, "acme")]
    assert found == [("ann@acme.example", "admin"), ("bob@acme.example", "billing")]
    remove_member(store, "acme", "bob@acme.example")
    assert [member.email for member in list_members(store, "acme")] == ["ann@acme.example"]
    assert memberships(store, "ANN@acme.example") == {"acme": "admin"}
    assert memberships(store, "bob@acme.example") == {}


def test_a_member_that_cannot_be_is_refused(store: Store) -> None:
    with pytest.raises(MeterhouseError, match="did you mean billing"):
        set_member(store, "acme", "a@b.example", "biling")
    with pytest.raises(MeterhouseError, match="no e-mail address"):
        set_member(store, "acme", "nobody", "viewer")
    with pytest.raises(MeterhouseError, match="no account nobody"):
        set_member(store, "nobody", "a@b.example", "viewer")
    with pytest.raises(MeterhouseError, match="is no member"):
        remove_member(store, "acme", "a@b.example")


def test_offers_are_dated_and_a_withdrawn_package_is_gone(store: Store) -> None:
    def offer(price: int, start: datetime) -> None:
        made = make_offer(
            "team",
            name="Team",
            credits="1000",
            bonus_credits="50.5",
            currency="eur",
            price_minor=price,
            effective_from=start,
        )
        add_offer(store, made, now=NOW)

    offer(4900, NOW)
    offer(4900, NOW)
    offer(5900, NOW + 2 * DAY)
    assert len(all_offers(store)) == 2
    (today,) = list_offers(store, "EUR", now=NOW)
    assert (today.price_minor, today.bonus_credits) == (4900, Decimal("50.5"))
    assert [x.price_minor for x in list_offers(store, now=NOW + 2 * DAY)] == [5900]
    assert list_offers(store, "USD", now=NOW) == []
    with pytest.raises(MeterhouseError, match="cannot start in the past"):
        offer(1, NOW - DAY)
    assert len(withdraw_offer(store, "team", now=NOW + DAY)) == 2
    assert list_offers(store, now=NOW + DAY) == list_offers(store, now=NOW + 3 * DAY) == []
    with pytest.raises(MeterhouseError, match="is not offered"):
        withdraw_offer(store, "team", "EUR", now=NOW + DAY)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"price_minor": 0}, "price must be above 0"),
        ({"credits": "0"}, "must be above 0"),
        ({"bonus_credits": "-1"}, "cannot be negative"),
        ({"currency": "XXX"}, "no ISO 4217 currency"),
        ({"validity_days": 0}, "1 to 36,500 days"),
        ({"name": "a\nb"}, "line break"),
    ],
)
def test_an_offer_that_cannot_be_is_refused(changes: dict[str, object], complaint: str) -> None:
    fields = {"name": "T", "credits": "1", "currency": "EUR", "price_minor": 1, **changes}
    with pytest.raises(MeterhouseError, match=complaint):
        make_offer("team", effective_from=NOW, **fields)  # type: ignore[arg-type]
    with pytest.raises(MeterhouseError, match="cannot be a package's id"):
        make_offer(
            "Team!", name="T", credits="1", currency="EUR", price_minor=1, effective_from=NOW
        )


def test_the_sample_offers_come_once_and_never_beside_others(store: Store) -> None:
    assert add_sample_offers(store, {"EUR", "JPY", "CHF"}, now=NOW) == 6
    assert add_sample_offers(store, {"USD"}, now=NOW) == 0
    assert [x.package_id for x in list_offers(store, "JPY", now=NOW)] == [
        "starter",
        "team",
        "scale",
    ]


def test_the_same_reference_grants_once_and_another_grant_under_it_is_refused(store: Store) -> None:
    first = grant(store, "acme", "12.5", reason="welcome", reference="w", now=NOW)
    again = grant(store, "acme", "12.50", reason="welcome", reference="w", now=NOW + DAY)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.lot == first.lot
    assert list_lots(store, "acme") == [first.lot]
    with pytest.raises(MeterhouseError, match="whose credits is 12.5 and not 13$"):
        grant(store, "acme", "13", reason="welcome", reference="w")
    with pytest.raises(MeterhouseError, match="are Meterhouse's own"):
        grant(store, "acme", "13", reason="welcome", reference="purchase:x:credits")


def test_a_grant_may_begin_in_the_past_and_says_what_that_means(store: Store) -> None:
    dated = grant(store, "acme", "5", reason="late", effective_at=NOW - 30 * DAY, now=NOW)
    assert dated.remark is not None
    assert "back-dated to 2026-10-24" in dated.remark
    assert grant(store, "acme", "5", reason="now", now=NOW).remark is None
    states = spent_of(list_lots(store, "acme"), Used("3", NOW - 10 * DAY), "acme", NOW)
    assert states[dated.lot.grant_id].consumed == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"credits": "0"}, "above 0"),
        ({"credits": "-5"}, "above 0"),
        ({"credits": "NaN"}, "is no number"),
        ({"credits": "1e12"}, "below 1,000,000,000,000"),
        ({"credits": "0.0000000001"}, "at most 9 decimals"),
        ({"credits": "much"}, "is no number"),
        ({"account_id": "nobody"}, "no account nobody"),
        ({"priority": 101}, "0 \\(burns first\\) to 100"),
        ({"expires_at": NOW}, "must expire after it begins"),
        ({"expires_at": NOW - DAY}, "must expire after it begins"),
        ({"effective_at": datetime(2026, 1, 1)}, "has no time zone"),
        ({"kind": "gift"}, "no kind of lot"),
        ({"paid_minor": 100, "currency": "EUR"}, "are not paid for"),
        ({"kind": "purchased", "paid_minor": 100, "currency": "XXX"}, "no ISO 4217"),
        ({"reason": " "}, "reason is missing"),
    ],
)
def test_a_grant_that_cannot_be_is_refused(
    store: Store, arguments: dict[str, object], complaint: str
) -> None:
    given = {"account_id": "acme", "credits": "1", "reason": "r", "now": NOW, **arguments}
    with pytest.raises(MeterhouseError, match=complaint):
        grant(store, **given)  # type: ignore[arg-type]
    assert list_lots(store, "acme") == []


def test_an_adjustment_has_author_and_reason_and_never_takes_away(store: Store) -> None:
    lot = adjust(store, "acme", "2", reason="outage", actor="ann", now=NOW).lot
    assert (lot.kind, lot.recorded_by, lot.reason) == ("adjustment", "ann", "outage")
    with pytest.raises(MeterhouseError, match="meterhouse credits void"):
        adjust(store, "acme", "-2", reason="outage")


def test_a_void_ends_what_is_unspent_once(store: Store) -> None:
    lot = grant(store, "acme", "10", reason="r", now=NOW - DAY).lot
    ended, before = void(store, Used("4"), lot.grant_id, reason="fraud", now=NOW)
    assert (before.consumed, before.unspent) == (4, 6)
    assert ended.ending is not None
    assert (ended.ending.cause, ended.ends_at) == ("void", NOW)
    with pytest.raises(MeterhouseError, match="ended by void"):
        void(store, Used("4"), lot.grant_id, reason="fraud", now=NOW)
    with pytest.raises(MeterhouseError, match="there is no lot 999"):
        void(store, NONE, 999, reason="fraud")


def test_a_void_of_a_spent_lot_is_an_error_and_changes_nothing(store: Store) -> None:
    lot = grant(store, "acme", "10", reason="r", now=NOW - DAY).lot
    with pytest.raises(MeterhouseError, match="is spent"):
        void(store, Used("10"), lot.grant_id, reason="fraud", now=NOW)
    assert list_lots(store, "acme") == [lot]


def test_a_refund_of_a_part_leaves_a_lot_of_the_same_conditions(store: Store) -> None:
    lot = grant(
        store,
        "acme",
        "1000",
        reason="by wire",
        kind="purchased",
        priority=7,
        expires_at=NOW + 90 * DAY,
        paid_minor=4900,
        currency="EUR",
        now=NOW - DAY,
    ).lot
    done = refund(store, Used("400"), lot.grant_id, Decimal(100), reason="asked", now=NOW)
    assert done.refund.refunded_minor == 490
    assert done.remainder is not None
    rest = done.remainder
    assert (rest.kind, rest.priority, rest.expires_at) == ("purchased", 7, NOW + 90 * DAY)
    assert (rest.credits, rest.paid_minor, rest.effective_at) == (500, 2450, NOW)
    assert done.lot.ending is not None
    assert (done.lot.ending.cause, done.lot.ending.refunded_minor) == ("refund", 490 + 2450)
    states = spent_of(list_lots(store, "acme"), Used("400"), "acme", NOW + DAY)
    assert states[lot.grant_id].consumed == 400
    assert states[rest.grant_id].unspent == 500
    with pytest.raises(MeterhouseError, match="ended by refund"):
        refund(store, Used("400"), lot.grant_id, reason="asked", now=NOW + DAY)


def test_usage_of_the_lakes_is_settled_plus_pending(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    borders = [datetime(2026, 11, 2, 10, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC)]
    assert LakeUsage(settings).between("acme", borders) == []
    raw_snapshot = build_raw(settings)
    build_marts(settings, raw_snapshot)
    with writing(settings, "marts") as connection:
        marts_snapshot = run(connection, REPORTING, "marts")
        publish(
            connection,
            marts_snapshot=marts_snapshot,
            raw_snapshot=raw_snapshot,
            raw_load_id=RAW_LOAD_ID,
            published_at=PUBLISHED_AT,
        )
    assert LakeUsage(settings).between("acme", borders) == [Usage(borders[0], Decimal("3.75"))]
    with writing(settings, "raw") as connection:
        connection.execute(
            "insert into raw.main.usage_event select * replace"
            " (4 as load_id, 'new' as event_id, 7.5 as credits) from raw.main.usage_event"
            " where event_id = 'e1'"
        )
        connection.execute(
            "insert into raw.main.usage_supersession"
            " values (4, 'logs', 'e5', hash('logs', 'e5'), 1, '2026-11-03', 2)"
        )
    assert LakeUsage(settings).between("acme", borders) == [Usage(borders[0], Decimal("9"))]


def test_usage_that_was_never_published_counts_as_pending(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    build_raw(settings)
    border = datetime(2026, 11, 5, tzinfo=UTC)
    (found,) = LakeUsage(settings).between("acme", [border])
    assert found.amount == Decimal("3.75")
