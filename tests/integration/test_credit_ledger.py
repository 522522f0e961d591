"""The ledger in the build and live: in whatever order facts arrive, it is the pure burn-down's."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.lake import LakeReader
from billing.accounts import add_account
from billing.burn_down import KINDS, BurnDown, Grant, Usage, burn_down
from billing.grants import grant, list_lots
from billing.position import credit_position
from billing.store import Store, open_store
from tests.integration.dbt_lab import Lab

ZONES = {
    "amber": "UTC",
    "birch": "Asia/Tokyo",
    "cedar": "America/Los_Angeles",
    "drift": "Europe/Berlin",
    "ember": "UTC",
}
FIRST, DAYS = datetime(2026, 10, 1), 40
CLOCKS = (datetime(2026, 10, 20, 7), datetime(2026, 11, 2, 9), datetime(2026, 11, 23, 12))
LEDGER = (
    "fct_credit_posting",
    "fct_credit_ledger",
    "fct_credit_lot",
    "fct_credit_balance_daily",
    "fct_credit_margin_daily",
    "int_credit_usage_segmented",
    "rpt_credits_balance",
    "rpt_credits_daily",
    "rpt_credits_ledger",
    "rpt_accounts_standing",
)


@dataclass
class Batch:
    """Rows of one load, by raw table."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class World:
    """What happened: events as they finally are, lots, and the batches in which it became known."""

    events: dict[str, dict[str, Any]]
    grants: list[dict[str, Any]]
    voids: list[dict[str, Any]]
    batches: list[Batch]


def credits(chance: random.Random, most: int) -> Decimal:
    return Decimal(chance.randrange(1, most * 10**9)).scaleb(-9)


def make_world(seed: int) -> World:
    """Random usage, lots and voids of five accounts; each fact is first known in a random batch."""
    chance = random.Random(seed)
    world = World({}, [], [], [Batch() for _ in CLOCKS])
    world.batches[0].tables["account_term"] = [
        {"account_id": account, "time_zone": zone, "currency": "USD"}
        for account, zone in ZONES.items()
    ]
    world.batches[0].tables["rate"] = [
        {"category": "sql", "unit": "call", "credits_per_unit": 2},
        {"category": "sql", "unit": "second", "credits_per_unit": Decimal("0.0000000015")},
    ]

    def moment(until: datetime) -> datetime:
        span = (min(until, FIRST + timedelta(days=DAYS)) - FIRST) // timedelta(minutes=15)
        return FIRST + chance.randrange(span) * timedelta(minutes=15)

    for number in range(250):
        known = chance.randrange(len(CLOCKS))
        name = f"e{number}"
        event = {
            "event_id": name,
            "account_id": chance.choice(list(ZONES)),
            "agent_id": chance.choice(["scout", "owl"]),
            "occurred_at": moment(CLOCKS[known]),
            "credits": credits(chance, 6) if chance.random() < 0.9 else 0,
        }
        world.batches[known].tables["usage_event"].append(event)
        world.events[name] = event
        if known + 1 < len(CLOCKS) and chance.random() < 0.15:
            correct(chance, world, event, chance.randrange(known + 1, len(CLOCKS)), moment)
    for number in range(30):
        known = chance.randrange(len(CLOCKS))
        begins = moment(FIRST + timedelta(days=DAYS))
        kind = chance.choice(KINDS)
        lot = {
            "grant_id": number + 1,
            "reference": f"lot {number + 1}",
            "account_id": chance.choice([name for name in ZONES if name != "ember"]),
            "kind": kind,
            "credits": credits(chance, 60),
            "priority": chance.choice([10, 50]),
            "effective_at": begins,
            "recorded_at": datetime(2026, 9, 1) + timedelta(minutes=chance.randrange(3)),
        }
        if chance.random() < 0.6:
            lot["expires_at"] = begins + timedelta(hours=chance.randrange(1, 900))
        if kind == "purchased":
            lot |= {"paid_minor": chance.randrange(1, 10_000), "currency": "USD"}
        world.grants.append(lot)
        world.batches[known].tables["credit_grant"].append(lot)
        if chance.random() < 0.2:
            void = {
                "void_id": number + 1,
                "grant_id": number + 1,
                "voided_at": begins + timedelta(hours=chance.randrange(-5, 400)),
                "cause": chance.choice(["void", "refund", "chargeback"]) if "paid_minor" in lot
                else "void",
            }  # fmt: skip
            if void["cause"] != "void":
                void |= {"refunded_minor": lot["paid_minor"] // 3, "currency": "USD"}
            if void["cause"] == "chargeback":
                void["receivable_minor"] = lot["paid_minor"] // 7
            world.voids.append(void)
            world.batches[chance.randrange(known, len(CLOCKS))].tables["credit_void"].append(void)
    return world


def correct(
    chance: random.Random, world: World, event: dict[str, Any], known: int, moment: Any
) -> None:
    """Correct an event in a later batch: withdraw it, move it, or hand it to another account."""
    is_withdrawn = chance.random() < 0.3
    newer = event | {"revision": 1, "is_withdrawn": is_withdrawn}
    if not is_withdrawn:
        newer["occurred_at"] = moment(CLOCKS[known])
        newer["credits"] = credits(chance, 6)
        if chance.random() < 0.3:
            newer["account_id"] = chance.choice(list(ZONES))
    tables = world.batches[known].tables
    tables["usage_event"].append(newer)
    tables["usage_supersession"].append(
        {"event_id": event["event_id"], "usage_date_utc": event["occurred_at"].date()}
    )
    if is_withdrawn:
        del world.events[event["event_id"]]
    else:
        world.events[event["event_id"]] = newer


def aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def expected(world: World, account: str, until: datetime) -> BurnDown:
    """The pure burn-down of an account's final facts."""
    ends = {void["grant_id"]: void["voided_at"] for void in world.voids}
    grants = [
        Grant(
            id=f"{lot['grant_id']:019d}",
            amount=lot["credits"],
            priority=lot["priority"],
            kind=lot["kind"],
            effective_at=lot["effective_at"].replace(tzinfo=UTC),
            expires_at=aware(lot.get("expires_at")),
            voided_at=aware(ends.get(lot["grant_id"])),
            created_at=lot["recorded_at"].replace(tzinfo=UTC),
        )
        for lot in world.grants
        if lot["account_id"] == account
    ]
    usage = [
        Usage(event["occurred_at"].replace(tzinfo=UTC), Decimal(event["credits"]))
        for event in world.events.values()
        if event["account_id"] == account
    ]
    return burn_down(grants, usage, until.replace(tzinfo=UTC))


def dump(lab: Lab) -> dict[str, list[tuple[Any, ...]]]:
    return {name: lab.query(f"select * from marts.main.{name} order by all") for name in LEDGER}


def files(lab: Lab) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: lab.query(
            "select data_file, delete_file from"
            f" ducklake_list_files('marts', '{name}', schema => 'main') order by all"
        )
        for name in ("fct_credit_posting", "fct_credit_lot", "int_credit_usage_segmented")
    }


WORLD = make_world(20261123)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lake that learned of everything bit by bit, with a refresh after each batch."""
    lab = Lab(tmp_path_factory.mktemp("split"))
    for batch, clock in zip(WORLD.batches, CLOCKS, strict=True):
        lab.now = clock
        lab.refresh(**batch.tables)
    return lab


@pytest.fixture(scope="module")
def rebuilt(split: Lab) -> Lab:
    """The same lake after a full rebuild; what it was before is in ``before``."""
    before = dump(split)
    split.dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test", full_checks=True)
    split.before = before  # type: ignore[attr-defined]
    return split


def test_lots_end_as_the_pure_burn_down_says(split: Lab) -> None:
    for account in ZONES:
        result = expected(WORLD, account, CLOCKS[-1])
        consumed: dict[str, Decimal] = defaultdict(Decimal)
        for part in result.consumptions:
            consumed[part.grant_id] += part.amount
        lost = {part.grant_id: part.amount for part in result.forfeits}
        rows = split.query(
            "select lot_id, consumed_credits, forfeited_credits, remaining_credits"
            f" from marts.main.fct_credit_lot where account_id = '{account}'"
        )
        assert {f"{row[0]:019d}": tuple(row[1:]) for row in rows} == {
            name: (consumed[name], lost.get(name, 0), left)
            for name, left in result.remaining.items()
        }
        ((overage,),) = split.query(
            "select overage_credits from marts.main.rpt_credits_balance"
            f" where account_id = '{account}'"
        )
        assert overage == result.overage


def test_each_day_takes_from_the_lots_that_its_events_took_from(split: Lab) -> None:
    for account, zone in ZONES.items():
        days: dict[tuple[int, date], Decimal] = defaultdict(Decimal)
        for part in expected(WORLD, account, CLOCKS[-1]).consumptions:
            lot = int(part.grant_id)
            day = part.at.astimezone(ZoneInfo(zone)).date()
            days[lot, day] += part.amount
        found: dict[tuple[int, date], Decimal] = defaultdict(Decimal)
        for lot, day, amount in split.query(
            "select lot_id, posted_date, credits from marts.main.fct_credit_posting where"
            f" account_id = '{account}' and posting_kind in ('consumption', 'overage_payment')"
        ):
            found[lot, day] += amount
        assert found == days


def test_accounts_stand_as_ledger_and_margins_say(split: Lab) -> None:
    earned = split.query(
        "select account_id, sum(credits), sum(revenue_minor)"
        " from marts.main.fct_credit_margin_daily where month = date '2026-11-01'"
        " group by 1 order by 1"
    )
    assert sum(revenue for *_, revenue in earned) > 0
    assert earned == split.query(
        "select account_id, credits, revenue_minor from marts.main.rpt_accounts_standing"
        " where month = date '2026-11-01' and events > 0 order by 1"
    )
    assert split.query(
        "select account_id, balance_credits from marts.main.rpt_accounts_standing order by 1"
    ) == split.query(
        "select account_id, arg_max(closing_credits, balance_date)"
        " from marts.main.rpt_credits_daily group by 1 order by 1"
    )


def test_a_full_rebuild_gives_the_rows_that_refreshes_made(rebuilt: Lab) -> None:
    after = dump(rebuilt)
    for name, rows in rebuilt.before.items():  # type: ignore[attr-defined]
        assert after[name] == rows, name


def test_a_refresh_without_news_rewrites_nothing(rebuilt: Lab) -> None:
    before = files(rebuilt)
    rebuilt.refresh()
    assert rebuilt.query("select * from marts.main.int_credit_accounts_touched") == []
    assert files(rebuilt) == before


def test_new_usage_of_one_account_redoes_that_account_alone(rebuilt: Lab) -> None:
    kept = "select * from marts.main.fct_credit_posting where account_id <> 'birch' order by all"
    before = rebuilt.query(kept)
    rebuilt.refresh(
        usage_event=[
            {
                "event_id": "late",
                "account_id": "birch",
                "occurred_at": datetime(2026, 10, 3, 5),
                "credits": Decimal("2.5"),
            }
        ]
    )
    for touched in ("int_credit_accounts_touched", "int_projection_accounts_touched"):
        assert rebuilt.query(f"select * from marts.main.{touched}") == [("birch",)]
    assert rebuilt.query(kept) == before
    WORLD.events["late"] = {
        "account_id": "birch",
        "occurred_at": datetime(2026, 10, 3, 5),
        "credits": Decimal("2.5"),
    }
    test_lots_end_as_the_pure_burn_down_says(rebuilt)


# --- live -----------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(rebuilt: Lab) -> Iterator[Store]:
    """Lots that the lake does not know yet, some of them begun or ended in the middle of a day."""
    with open_store(rebuilt.settings) as store:
        for account in ("amber", "cedar", "ember"):
            add_account(store, account, time_zone=ZONES[account], now=NOW)
        for number, account in enumerate(("amber", "amber", "cedar", "cedar", "cedar")):
            begins = datetime(2026, 10, 5 + 7 * (number % 3), 11 + number, 7, tzinfo=UTC)
            grant(
                store,
                account,
                str(20 + 30 * number),
                reason="live",
                effective_at=begins,
                expires_at=begins + timedelta(days=9, minutes=5) if number % 2 else None,
                now=NOW,
            )
        yield store


@pytest.fixture(scope="module")
def pending(rebuilt: Lab, store: Store) -> Lab:
    """New, moved, withdrawn and unlogged usage that was loaded and not refreshed."""
    settled = [name for name, event in WORLD.events.items() if event["account_id"] == "amber"]
    moved, gone, given = (WORLD.events[name] for name in settled[:3])
    changes = [
        moved | {"occurred_at": datetime(2026, 10, 12, 9), "credits": Decimal("1.000000001")},
        gone | {"is_withdrawn": True},
        given | {"account_id": "cedar"},
    ]
    for change in changes:
        change["revision"] = change.get("revision", 0) + 1
    sql = {"account_id": "ember", "category": "sql", "credits": None, "model": None}
    unlogged = [
        sql | {"event_id": "rated", "occurred_at": datetime(2026, 11, 20), "execution_ms": 1000},
        sql | {"event_id": "failed", "occurred_at": datetime(2026, 11, 20), "status": "error"},
        sql | {"event_id": "held", "occurred_at": datetime(2026, 11, 20), "category": "music"},
        sql | {"event_id": "slow", "occurred_at": datetime(2026, 11, 20), "execution_ms": None},
    ]
    rebuilt.load(
        usage_event=[
            *changes,
            *unlogged,
            {
                "event_id": "new",
                "account_id": "cedar",
                "occurred_at": datetime(2026, 11, 22, 4),
                "credits": Decimal("3.5"),
            },
        ],
        usage_supersession=[
            {
                "event_id": event["event_id"],
                "usage_date_utc": event["occurred_at"].date(),
                "revision": event.get("revision", 0),
                "superseded_by": event.get("revision", 0) + 1,
            }
            for event in (moved, gone, given)
        ],
    )
    for event, change in zip((moved, gone, given), changes, strict=True):
        WORLD.events[event["event_id"]] = change
    del WORLD.events[gone["event_id"]]
    WORLD.events["new"] = {
        "account_id": "cedar",
        "occurred_at": datetime(2026, 11, 22, 4),
        "credits": Decimal("3.5"),
    }
    WORLD.events["rated"] = {
        "account_id": "ember",
        "occurred_at": datetime(2026, 11, 20),
        "credits": Decimal("2.000000002"),
    }
    return rebuilt


@pytest.mark.parametrize("account", ["amber", "cedar", "ember"])
def test_the_live_position_is_the_burn_down_of_all_that_was_loaded(
    pending: Lab, store: Store, account: str
) -> None:
    reader = LakeReader(pending.settings)
    try:
        found = credit_position(reader, store, account, NOW)
    finally:
        reader.close()
    lots = [lot.as_grant() for lot in list_lots(store, account)]
    usage = [
        Usage(event["occurred_at"].replace(tzinfo=UTC), Decimal(event["credits"]))
        for event in WORLD.events.values()
        if event["account_id"] == account
    ]
    result = burn_down(lots, usage, NOW)
    assert {f"{lot.grant_id:019d}": lot.remaining for lot in found.lots} == result.remaining
    assert found.overage == result.overage
    assert found.balance == found.settled_balance - found.pending
    assert found.pending != 0
    assert found.pending_unrated_events == (2 if account == "ember" else 0)


def test_pending_usage_counts_as_it_will_once_it_is_settled(pending: Lab, store: Store) -> None:
    def positions() -> list[Any]:
        reader = LakeReader(pending.settings)
        try:
            return [
                credit_position(reader, store, account, NOW)
                for account in ("amber", "cedar", "ember")
            ]
        finally:
            reader.close()

    before = positions()
    pending.refresh()
    after = positions()
    assert [one.balance for one in after] == [one.balance for one in before]
    assert [(one.pending, one.pending_events) for one in after] == [(0, 0)] * 3
