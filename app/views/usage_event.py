"""One operation with everything known of it, in place of the list, at an address of its own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from app import context, formats
from app.gate import Account, Gate
from app.markup import Child, Html, badge, empty, fields, heading, join, link, notice, stat, tag
from app.queries.usage import EventDetail, Names
from app.usage_address import RATING_LABELS, STATUS_LABELS, UsageView, parse_tag, tag_id
from app.usage_address import link as view_link
from app.views.parts import card, row, write
from app.views.usage_filters import NO_MODEL, category_label, model_label

_COST_STATES = {
    "priced": "Priced",
    "no_tokens": "The log gives no tokens",
    "unknown_model": "The price list does not know this model",
    "no_price": "The price list has no price at its time",
}


def draw_event(gate: Gate, account: Account, view: UsageView, today: date) -> None:
    """Draw the operation that the view has open, and the way back to its list."""
    assert view.event is not None
    back = view_link(account.account_id, replace(view, event=None))
    write(tag("div", link(back, "‹ Back to the list", class_="mh-up"), class_="mh-back"))
    event = context.usage_event(gate, account.account_id, view.event)
    if event is None:
        write(
            empty(
                "There is no such operation",
                f"{account.name} has no settled operation “{formats.clip(view.event.event_id, 60)}”"
                f" from {formats.clip(view.event.source, 40)} on "
                f"{formats.day(view.event.day)} (UTC). It may have been corrected to another "
                "day, withdrawn, or not be settled yet.",
            )
        )
        return
    names = context.names(gate)
    write(_title(account, event, names))
    if event.rating_status == "unrated":
        write(_unrated(event))
    left, right = row("event", 1, 1)
    with left:
        with card("operation", fills=False):
            write(heading("Operation"), fields(_operation(account, view, event, names)))
        with card("origin", fills=False):
            write(heading("Where it comes from"), fields(_origin(event)))
    with right:
        with card("price", fills=False):
            write(heading("Credits", RATING_LABELS.get(event.rating_status)), _price(event, names))
        if gate.user.is_staff:
            with card("cost", fills=False):
                write(heading("Provider cost"), fields(_cost(event)))
        with card("tags", fills=False):
            write(heading("Tags"), _tags(account, view, event))


def _title(account: Account, event: EventDetail, names: Names) -> Html:
    return tag(
        "div",
        stat(
            f"{category_label(names, event.category)} · "
            f"{formats.moment(event.occurred_at, account.time_zone)}",
            "unrated" if event.credits is None else f"{formats.credits(event.credits)} credits",
            is_big=True,
        ),
        class_="mh-event-title",
    )


def _unrated(event: EventDetail) -> Html:
    if event.exposure_high_credits is None:
        worth = "What it is worth is not known: no rate of its category exists, or the log "
        worth += "lacks the quantity that is charged."
    else:
        low, high = event.exposure_low_credits, event.exposure_high_credits
        worth = f"It may be worth {formats.credits(low)} to {formats.credits(high)} credits."
    return notice("warn", "No rate applies to this operation", f"It is held back. {worth}")


def _operation(
    account: Account, view: UsageView, event: EventDetail, names: Names
) -> list[tuple[str, Child]]:
    def narrowed(label: str, /, **filters: Any) -> Html:
        there = replace(view.narrowed(**filters), group=())
        return link(view_link(account.account_id, there), label, class_="mh-up")

    zone = account.time_zone
    local = formats.clock(event.occurred_at, zone, date.min)
    model = (
        "none in the log"
        if event.model == NO_MODEL
        else join(
            [
                narrowed(model_label(names, event.model), models=(event.model,)),
                tag("span", f" {event.model}", class_="mh-soft")
                if model_label(names, event.model) != event.model
                else None,
            ]
        )
    )
    return [
        ("Time", f"{local} in {zone}"),
        ("Time, UTC", f"{event.occurred_at:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".")),
        ("Agent", narrowed(event.agent_id, agents=(event.agent_id,))),
        (
            "Category",
            narrowed(category_label(names, event.category), categories=(event.category,)),
        ),
        ("Model", model),
        ("Status", _status(event.status)),
        ("Execution time", formats.duration(event.execution_ms)),
        ("Input tokens", formats.number(event.input_tokens)),
        ("Tokens read from cache", formats.number(event.cache_read_tokens)),
        ("Tokens written to cache", formats.number(event.cache_write_tokens)),
        ("Output tokens", formats.number(event.output_tokens)),
        ("Tokens in all", formats.number(event.total_tokens)),
        (
            "Session",
            narrowed(event.session_id, text=event.session_id) if event.session_id else formats.DASH,
        ),
        (
            "Request hash",
            narrowed(event.request_hash, text=event.request_hash)
            if event.request_hash
            else formats.DASH,
        ),
    ]


def _status(status: str) -> Child:
    if status == "ok":
        return "OK"
    return badge(STATUS_LABELS.get(status, status), "bad" if status == "error" else "quiet")


def _price(event: EventDetail, names: Names) -> Html:
    """Where the credits come from, and the rate card that held at the time."""
    rows: list[tuple[str, Child]] = [
        ("Credits that count", formats.exact(event.credits)),
        ("Credits in the log", formats.exact(event.logged_credits)),
        ("Credits by the rate card", formats.exact(event.card_credits)),
    ]
    if event.card_starts_at is None:
        rows.append(("Rate card", "none applies at its time"))
        return fields(rows)
    of = (
        f"of the model {event.card_model}"
        if event.card_model
        else f"of the category {category_label(names, event.category)}"
    )
    rows.append(("Rate card", f"{of}, since {formats.moment(event.card_starts_at)}"))
    seconds = None if event.execution_ms is None else event.execution_ms / 1000
    for unit, rate, quantity in (
        ("a call", event.call_credits, Decimal(1)),
        ("a second", event.second_credits, seconds),
        ("an input token", event.input_token_credits, event.input_tokens),
        ("a token read from cache", event.cache_read_token_credits, event.cache_read_tokens),
        ("a token written to cache", event.cache_write_token_credits, event.cache_write_tokens),
        ("an output token", event.output_token_credits, event.output_tokens),
    ):
        if rate is not None:
            rows.append((f"Rate for {unit}", _times(formats.exact(rate), quantity)))
    return fields(rows)


def _cost(event: EventDetail) -> list[tuple[str, Child]]:
    """The provider's cost and the list price that held at the time."""
    status = event.provider_cost_status or formats.DASH
    state = _COST_STATES.get(status, status)
    rows: list[tuple[str, Child]] = [
        (
            "Cost",
            f"${formats.exact(event.provider_cost_usd)}"
            if event.provider_cost_usd is not None
            else state,
        )
    ]
    if event.price_model is None:
        return rows
    since = formats.moment(event.price_starts_at) if event.price_starts_at else formats.DASH
    rows += [
        ("Price of", f"{event.price_model} at {event.price_provider}"),
        ("Price list", f"release {event.price_release}, since {since}"),
    ]
    if event.price_tier_start:
        rows.append(("Tier", f"from {formats.number(event.price_tier_start)} prompt tokens"))
    for kind, price, tokens in (
        ("input", event.input_usd_per_mtok, event.input_tokens),
        ("cache read", event.cache_read_usd_per_mtok, event.cache_read_tokens),
        ("cache write", event.cache_write_usd_per_mtok, event.cache_write_tokens),
        ("output", event.output_usd_per_mtok, event.output_tokens),
    ):
        if price is not None:
            rows.append((f"A million {kind} tokens", _times(f"${formats.exact(price)}", tokens)))
    return rows


def _times(rate: str, quantity: Decimal | int | None) -> Html:
    """A rate and the quantity that it was multiplied by."""
    return join(
        [
            rate,
            tag("span", f" × {formats.exact(Decimal(quantity))}", class_="mh-soft")
            if quantity is not None
            else None,
        ]
    )


def _origin(event: EventDetail) -> list[tuple[str, Child]]:
    return [
        ("Source", event.source),
        ("Event id", tag("code", event.event_id)),
        ("Revision", formats.number(event.revision)),
        ("File", tag("code", event.load_path) if event.load_path else formats.DASH),
        ("Line", formats.number(event.line_number)),
        (
            "Loaded",
            f"{formats.moment(event.loaded_at)}, batch {event.load_id}"
            + (" by replay" if event.load_kind == "replay" else ""),
        ),
    ]


def _tags(account: Account, view: UsageView, event: EventDetail) -> Html:
    """Each tag, leading to what else has it."""
    pairs = _pairs(event.tags)
    if not pairs:
        return tag("p", "The log gives no tags.", class_="mh-soft")
    items: list[tuple[str, Child]] = []
    for key, value, text in pairs:
        if value is not None and parse_tag(tag_id(key, value)) == (key, value):
            there = replace(view.narrowed(tags=((key, value),)), group=())
            items.append((key, link(view_link(account.account_id, there), text, class_="mh-up")))
        else:
            items.append((key, text))
    return fields(items)


def _pairs(tags: str | None) -> Sequence[tuple[str, str | None, str]]:
    """Key, value to filter by (None where it cannot be), and text of each tag."""
    found = json.loads(tags) if tags else {}
    if not isinstance(found, dict):
        return [("", None, str(tags))]
    pairs = []
    for key, value in found.items():
        text = value if isinstance(value, str) else json.dumps(value)
        pairs.append((key, text if isinstance(value, str | int | bool) else None, text))
    return pairs
