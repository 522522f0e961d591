"""``meterhouse credits``: lots of credits, packages, purchases, balance and ledger."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.table import Table

from billing import validation
from billing.accounts import get_account
from billing.burn_down import KINDS
from billing.gateways import gateway_for
from billing.grants import DEFAULT_PRIORITY, Granted, adjust, get_lot, grant, list_lots, void
from billing.lots import Lot, LotState, spent_of
from billing.money import from_minor, shown, to_minor
from billing.packages import Offer, add_offer, list_offers, make_offer, withdraw_offer
from billing.position import CreditPosition, credit_position
from billing.purchases import Purchase, purchase_history
from billing.reversals import refund_lot
from billing.settling import Settled, settle_pending
from billing.store import Store, open_store
from billing.usage_sums import LakeUsage, open_lake
from orchestration.commands.audited import logged, owner
from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.settings import load_settings

LEDGER = (
    "posted_date",
    "posting_kind",
    "ledger_account",
    "lot_id",
    "credits",
    "amount_minor",
    "currency",
    "usage_date",
    "posted_at",
)
"""Columns of the ledger that are shown."""

_NEGATIVE_NUMBERS = {"ignore_unknown_options": True}
"""Lets ``-5`` reach the amount, whose error says what to do instead."""


@click.group()
def credits() -> None:
    """Grant, end and refund credits; sell packages; see balance and ledger."""


@credits.command("grant", context_settings=_NEGATIVE_NUMBERS)
@click.argument("account_id")
@click.argument("amount")
@click.option("--reason", required=True, help="Why; it stands with the lot for ever.")
@click.option(
    "--kind", default="promotional", show_default=True, help=f"One of {', '.join(KINDS)}."
)
@click.option(
    "--priority", type=int, default=DEFAULT_PRIORITY, show_default=True, help="0 burns first."
)
@click.option("--effective", metavar="TIME", help="From when it counts; now by default.")
@click.option("--expires", metavar="TIME", help="Until when (exclusive); never by default.")
@click.option("--paid", help="Cash paid for purchased credits, such as 49.00.")
@click.option("--currency", help="Currency of the cash; the account's by default.")
@click.option("--reference", help="The same reference grants once, however often it is run.")
@click.option("--json", "as_json", is_flag=True, help="Print the lot as a JSON object.")
def grant_(
    account_id: str,
    amount: str,
    reason: str,
    kind: str,
    priority: int,
    effective: str | None,
    expires: str | None,
    paid: str | None,
    currency: str | None,
    reference: str | None,
    as_json: bool,
) -> None:
    """Give an account a lot of credits.

    A time without a zone, or a bare date's midnight, is that of the account.
    """
    with open_store(load_settings()) as store, logged(store, "credits.grant", account_id):
        term = get_account(store, account_id).current
        code = validation.currency(currency or term.currency) if paid else None
        granted = grant(
            store,
            account_id,
            amount,
            reason=reason,
            kind=kind,
            priority=priority,
            effective_at=moment(effective, term.time_zone),
            expires_at=moment(expires, term.time_zone),
            paid_minor=to_minor(paid, code) if paid and code else None,
            currency=code,
            reference=reference,
        )
    _say_granted(granted, as_json)


@credits.command("adjust", context_settings=_NEGATIVE_NUMBERS)
@click.argument("account_id")
@click.argument("amount")
@click.option("--reason", required=True, help="What it puts right.")
@click.option("--effective", metavar="TIME", help="From when it counts; now by default.")
@click.option("--expires", metavar="TIME", help="Until when (exclusive); never by default.")
@click.option("--reference", help="The same reference adjusts once, however often it is run.")
@click.option("--json", "as_json", is_flag=True, help="Print the lot as a JSON object.")
def adjust_(
    account_id: str,
    amount: str,
    reason: str,
    effective: str | None,
    expires: str | None,
    reference: str | None,
    as_json: bool,
) -> None:
    """Put a mistake right by a lot of kind adjustment, under your name."""
    with open_store(load_settings()) as store, logged(store, "credits.adjust", account_id):
        zone = get_account(store, account_id).current.time_zone
        granted = adjust(
            store,
            account_id,
            amount,
            reason=reason,
            effective_at=moment(effective, zone),
            expires_at=moment(expires, zone),
            reference=reference,
        )
    _say_granted(granted, as_json)


@credits.command("void")
@click.argument("grant_id", type=int)
@click.option("--reason", required=True, help="Why; it stands with the lot for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print the lot as a JSON object.")
def void_(grant_id: int, reason: str, as_json: bool) -> None:
    """End a lot now; what is unspent is forfeited, what was spent stays spent."""
    settings = load_settings()
    with open_store(settings) as store, _logged_lot(store, "credits.void", grant_id):
        lot, before = void(store, LakeUsage(settings), grant_id, reason=reason)
    if as_json:
        _print_json(lot_json(lot, LotState(before.consumed, before.unspent, Decimal(0))))
        return
    click.echo(f"voided the lot {grant_id}: {plain(before.unspent)} credits forfeited", err=True)


@credits.command("refund")
@click.argument("grant_id", type=int)
@click.option("--credits", "amount", help="Credits to take back; all that is unspent by default.")
@click.option("--reason", required=True, help="Why; the customer's gateway is told.")
@click.option("--json", "as_json", is_flag=True, help="Print the ended lot as a JSON object.")
def refund_(grant_id: int, amount: str | None, reason: str, as_json: bool) -> None:
    """Pay back the unspent part of a lot, money in proportion, by the way it was paid."""
    settings = load_settings()
    usage = LakeUsage(settings)
    with open_store(settings) as store:
        with _logged_lot(store, "credits.refund", grant_id):
            taken = validation.credits(amount) if amount else None
            lot = refund_lot(store, gateway_for(settings), usage, grant_id, taken, reason=reason)
        states = _states(store, usage, lot.account_id)
        rest = [
            x for x in list_lots(store, lot.account_id) if x.reference == f"remainder:{grant_id}"
        ]
    if as_json:
        _print_json({**lot_json(lot, states[lot.grant_id]), "remainder_grant_id": _first_id(rest)})
        return
    went = (lot.ending.refunded_minor or 0) if lot.ending else 0
    back = went - sum(x.paid_minor or 0 for x in rest)
    said = f"refunded {shown(back, lot.currency)} of the lot {grant_id}" if lot.currency else ""
    if rest:
        said += f"; {plain(rest[0].credits)} credits go on as lot {rest[0].grant_id}"
    click.echo(said, err=True)


@credits.command("lots")
@click.argument("account_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def lots_(account_id: str, as_json: bool) -> None:
    """List an account's lots with what is left of each, pending usage included.

    Days are the account's; --json has the times.
    """
    settings = load_settings()
    with open_store(settings) as store:
        zone = ZoneInfo(get_account(store, account_id).current.time_zone)
        found = list_lots(store, account_id)
        states = _states(store, LakeUsage(settings), account_id)
    if as_json:
        _print_json([lot_json(lot, states[lot.grant_id]) for lot in found])
        return
    if not found:
        click.echo(f"{account_id} has no credits; `meterhouse credits grant` gives some", err=True)
        return
    table = Table(header_style="bold")
    for column in ("lot", "kind"):
        table.add_column(column, no_wrap=True)
    for column in ("credits", "spent", "left"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("from", "until"):
        table.add_column(column, no_wrap=True)
    table.add_column("reason", overflow="fold")
    for lot in found:
        state = states[lot.grant_id]
        ends = lot.ends_at
        table.add_row(
            str(lot.grant_id),
            lot.kind,
            plain(lot.credits),
            plain(state.consumed),
            plain(_left(lot, state)),
            f"{lot.effective_at.astimezone(zone):%Y-%m-%d}",
            f"{ends.astimezone(zone):%Y-%m-%d}" if ends else "",
            lot.reason,
        )
    print_table(table)


@credits.command("balance")
@click.argument("account_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def balance(account_id: str, as_json: bool) -> None:
    """Show what an account has now, over settled and pending usage."""
    settings = load_settings()
    with open_store(settings) as store, open_lake(settings) as lake:
        position = credit_position(lake, store, account_id, datetime.now(UTC))
    if as_json:
        _print_json(position_json(position))
        return
    click.echo(f"{plain(position.balance)} credits")
    said = f"settled {plain(position.settled_balance)}, pending {plain(-position.pending)}"
    if position.pending_unrated_events:
        said += f", {position.pending_unrated_events:,} events not rated yet"
    if position.runway_days is not None and position.daily_pace is not None:
        said += f"; {position.runway_days} days at {plain(position.daily_pace)} a day"
    click.echo(said, err=True)


@credits.command("ledger")
@click.argument("account_id")
@click.option("--from", "first", metavar="DATE", help="First day, in the account's days.")
@click.option("--to", "until", metavar="DATE", help="Day after the last one.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def ledger(account_id: str, first: str | None, until: str | None, as_json: bool) -> None:
    """Show an account's postings of the published ledger, each side of them.

    Credits and amounts (in minor units of the currency) add up to zero within a posting.
    """
    settings = load_settings()
    with open_store(settings) as store:
        get_account(store, account_id)
    days = {"first": _day(first), "until": _day(until)}
    if days["first"] and days["until"] and days["first"] >= days["until"]:
        raise MeterhouseError(
            f"--from {days['first']} must lie before --to {days['until']} (exclusive)"
        )
    with open_lake(settings) as lake:
        publication = lake.publication()
        if publication is None or not lake.has_table("marts.main.fct_credit_ledger"):
            raise MeterhouseError("there is no ledger yet; run `meterhouse refresh`")
        rows = lake.rows(
            f"select {', '.join(LEDGER)} from marts.main.fct_credit_ledger"
            " where account_id = $account_id"
            " and ($first is null or posted_date >= cast($first as date))"
            " and ($until is null or posted_date < cast($until as date))"
            " order by posted_at, segment, lot_id, posting_kind, ledger_account",
            {"account_id": account_id, **days},
            publication=publication,
        )
    entries = [dict(zip(LEDGER, map(_json_value, row), strict=True)) for row in rows]
    if as_json:
        _print_json(entries)
        return
    table = Table(header_style="bold")
    for column in ("day", "posting", "account", "lot"):
        table.add_column(column, overflow="fold")
    for column in ("credits", "minor units"):
        table.add_column(column, justify="right")
    for entry in entries:
        table.add_row(
            entry["posted_date"],
            entry["posting_kind"],
            entry["ledger_account"],
            str(entry["lot_id"] or ""),
            plain(Decimal(entry["credits"])),
            plain(Decimal(entry["amount_minor"])),
        )
    print_table(table)


@credits.command("purchases")
@click.argument("account_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def purchases_(account_id: str, as_json: bool) -> None:
    """List an account's purchases, the newest first."""
    with open_store(load_settings()) as store:
        get_account(store, account_id)
        found = purchase_history(store, account_id)
    if as_json:
        _print_json([purchase_json(bought) for bought in found])
        return
    if not found:
        click.echo(f"{account_id} has bought nothing yet", err=True)
        return
    table = Table(header_style="bold")
    for column in ("number", "package", "price", "state", "bought", "gateway"):
        table.add_column(column, overflow="fold")
    for bought in found:
        table.add_row(
            str(bought.number),
            bought.name,
            shown(bought.price_minor, bought.currency),
            bought.state,
            f"{bought.recorded_at:%Y-%m-%d %H:%M}",
            bought.gateway,
        )
    print_table(table)


@credits.command("settle")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as a JSON object.")
def settle(as_json: bool) -> None:
    """Ask the gateway for purchases left pending; expire old ones. Runs every 10 minutes anyway.

    Exits with 1 when the gateway could not be asked for all of them.
    """
    settings = load_settings()
    with open_store(settings) as store:
        settled = settle_pending(store, gateway_for(settings), LakeUsage(settings))
    if as_json:
        _print_json(settled_json(settled))
    else:
        click.echo(described_settled(settled), err=True)
    if settled.problems:
        raise MeterhouseError("not everything could be settled: " + "; ".join(settled.problems))


@credits.group()
def packages() -> None:
    """What customers can buy."""


@packages.command("add")
@click.argument("package_id")
@click.option("--name", required=True, help="What the customer reads.")
@click.option("--credits", "amount", required=True, help="Credits that are paid for.")
@click.option("--bonus", default="0", show_default=True, help="Credits on top, without cash.")
@click.option("--price", required=True, help="Price such as 49.00.")
@click.option("--currency", required=True, help="ISO 4217 code.")
@click.option(
    "--valid-days", type=int, help="Days that the credits are valid; for ever by default."
)
@click.option("--bonus-valid-days", type=int, help="Days that the bonus is valid.")
@click.option(
    "--from", "start", metavar="TIME", help="From when it is offered (UTC); now by default."
)
@click.option("--json", "as_json", is_flag=True, help="Print the offer as a JSON object.")
def add_package(
    package_id: str,
    name: str,
    amount: str,
    bonus: str,
    price: str,
    currency: str,
    valid_days: int | None,
    bonus_valid_days: int | None,
    start: str | None,
    as_json: bool,
) -> None:
    """Offer a package, or offer it at new conditions; one price a currency."""
    now = datetime.now(UTC)
    code = validation.currency(currency)
    offer = make_offer(
        package_id,
        name=name,
        credits=amount,
        bonus_credits=bonus,
        currency=code,
        price_minor=to_minor(price, code),
        validity_days=valid_days,
        bonus_validity_days=bonus_valid_days,
        effective_from=moment(start, "UTC") or now,
    )
    with open_store(load_settings()) as store, logged(store, "package.add"):
        stored = add_offer(store, offer, now=now)
    if as_json:
        _print_json(offer_json(stored))
        return
    click.echo(
        f"{stored.package_id} is offered from {stored.effective_from:%Y-%m-%d %H:%M} UTC at "
        f"{shown(stored.price_minor, stored.currency)}",
        err=True,
    )


@packages.command("list")
@click.option("--currency", help="Only offers in this currency.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_packages(currency: str | None, as_json: bool) -> None:
    """List what can be bought now."""
    with open_store(load_settings()) as store:
        found = list_offers(store, currency)
    if as_json:
        _print_json([offer_json(offer) for offer in found])
        return
    if not found:
        click.echo(
            "nothing is offered; add a package with `meterhouse credits packages add`", err=True
        )
        return
    table = Table(header_style="bold")
    for column in ("package", "name"):
        table.add_column(column, overflow="fold")
    for column in ("credits", "bonus", "price"):
        table.add_column(column, justify="right")
    for offer in found:
        table.add_row(
            offer.package_id,
            offer.name,
            plain(offer.credits),
            plain(offer.bonus_credits),
            shown(offer.price_minor, offer.currency),
        )
    print_table(table)


@packages.command("withdraw")
@click.argument("package_id")
@click.option("--currency", help="Only the offer in this currency; all by default.")
@click.option("--json", "as_json", is_flag=True, help="Print what was withdrawn as a JSON array.")
def withdraw_package(package_id: str, currency: str | None, as_json: bool) -> None:
    """Stop offering a package; what was bought stays."""
    with open_store(load_settings()) as store, logged(store, "package.withdraw"):
        found = withdraw_offer(store, package_id, currency)
    if as_json:
        _print_json([offer_json(offer) for offer in found])
        return
    click.echo(
        f"withdrew {package_id} in {', '.join(sorted({offer.currency for offer in found}))}",
        err=True,
    )


def moment(text: str | None, zone: str) -> datetime | None:
    """A time of an option; without a zone, or as a bare date, it is in ``zone``."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise MeterhouseError(
            f"{text!a} is no time; write for example 2026-11-23 or 2026-11-23T12:00:00Z"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(zone))
    return found.astimezone(UTC)


def plain(amount: Decimal) -> str:
    """Credits without superfluous zeros."""
    return f"{amount.normalize():,f}"


def lot_json(lot: Lot, state: LotState) -> dict[str, Any]:
    """A lot as JSON; credits and money are strings."""
    ending = lot.ending
    money = lot.currency if lot.paid_minor is not None else None
    return {
        "grant_id": lot.grant_id,
        "reference": lot.reference,
        "account_id": lot.account_id,
        "kind": lot.kind,
        "priority": lot.priority,
        "credits": _text(lot.credits),
        "consumed": _text(state.consumed),
        "forfeited": _text(state.forfeited),
        "remaining": _text(_left(lot, state)),
        "effective_at": lot.effective_at.isoformat(),
        "expires_at": lot.expires_at.isoformat() if lot.expires_at else None,
        "paid": from_minor(lot.paid_minor or 0, money) if money else None,
        "currency": money,
        "purchase_id": lot.purchase_id,
        "reason": lot.reason,
        "recorded_at": lot.recorded_at.isoformat(),
        "recorded_by": lot.recorded_by,
        "ended": {
            "cause": ending.cause,
            "at": ending.voided_at.isoformat(),
            "reason": ending.reason,
            "refunded": _money(ending.refunded_minor, ending.currency),
            "receivable": _money(ending.receivable_minor, ending.currency),
        }
        if ending
        else None,
    }


def position_json(position: CreditPosition) -> dict[str, Any]:
    """What an account has, as JSON; credits are strings."""
    pace, settled = position.daily_pace, position.settled_until
    return {
        "account_id": position.account_id,
        "at": position.at.isoformat(),
        "balance": _text(position.balance),
        "settled_balance": _text(position.settled_balance),
        "pending": _text(position.pending),
        "pending_events": position.pending_events,
        "pending_unrated_events": position.pending_unrated_events,
        "remaining": _text(position.remaining),
        "overage": _text(position.overage),
        "daily_pace": None if pace is None else _text(pace),
        "runway_days": position.runway_days,
        "settled_until": settled.isoformat() if settled else None,
    }


def offer_json(offer: Offer) -> dict[str, Any]:
    """An offer as JSON; credits and price are strings."""
    return {
        "offer_id": offer.offer_id,
        "package_id": offer.package_id,
        "name": offer.name,
        "credits": _text(offer.credits),
        "bonus_credits": _text(offer.bonus_credits),
        "price": from_minor(offer.price_minor, offer.currency),
        "currency": offer.currency,
        "validity_days": offer.validity_days,
        "bonus_validity_days": offer.bonus_validity_days,
        "effective_from": offer.effective_from.isoformat(),
    }


def purchase_json(bought: Purchase) -> dict[str, Any]:
    """A purchase as JSON; credits and money are strings."""
    return {
        "number": bought.number,
        "purchase_id": bought.purchase_id,
        "package": bought.name,
        "credits": _text(bought.credits),
        "bonus_credits": _text(bought.bonus_credits),
        "price": from_minor(bought.price_minor, bought.currency),
        "currency": bought.currency,
        "state": bought.state,
        "refunded": from_minor(bought.refunded_minor, bought.currency),
        "gateway": bought.gateway,
        "recorded_at": bought.recorded_at.isoformat(),
        "paid_at": bought.paid_at.isoformat() if bought.paid_at else None,
    }


def settled_json(settled: Settled) -> dict[str, Any]:
    """What a sweep did, as JSON."""
    return {
        "granted": settled.granted,
        "expired": settled.expired,
        "mismatched": settled.mismatched,
        "pending": settled.pending,
        "reversals": settled.reversals,
        "problems": list(settled.problems),
    }


def described_settled(settled: Settled) -> str:
    """What a sweep did, in one line."""
    return (
        f"granted {settled.granted}  expired {settled.expired}  mismatched {settled.mismatched}  "
        f"pending {settled.pending}  refunds and chargebacks {settled.reversals}"
    )


def _say_granted(granted: Granted, as_json: bool) -> None:
    lot = granted.lot
    if granted.remark:
        click.echo(granted.remark, err=True)
    if as_json:
        state = LotState(Decimal(0), Decimal(0), lot.credits)
        _print_json({**lot_json(lot, state), "is_new": granted.is_new})
        return
    done = "granted" if granted.is_new else "had granted already"
    click.echo(
        f"{done} {plain(lot.credits)} credits to {lot.account_id}: lot {lot.grant_id}", err=True
    )


def _logged_lot(store: Store, action: str, grant_id: int) -> AbstractContextManager[None]:
    return logged(store, action, owner(lambda: get_lot(store, grant_id).account_id))


def _states(store: Store, usage: LakeUsage, account_id: str) -> Mapping[int, LotState]:
    return spent_of(list_lots(store, account_id), usage, account_id, datetime.now(UTC))


def _left(lot: Lot, state: LotState) -> Decimal:
    """What can still be spent: nothing of a lot that was ended before it began."""
    return Decimal(0) if lot.ending else state.unspent


def _text(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.000000001')):f}"


def _money(minor: int | None, currency: str | None) -> str | None:
    return None if minor is None or currency is None else from_minor(minor, currency)


def _first_id(lots: list[Lot]) -> int | None:
    return lots[0].grant_id if lots else None


def _day(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise MeterhouseError(f"{text!a} is no day; write for example 2026-11-23") from None


def _json_value(value: Any) -> Any:
    """A value of the ledger: exact numbers as strings, times in UTC."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
