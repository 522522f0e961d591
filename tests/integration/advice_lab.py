"""Usage with planted savings: what each call could have spared is known when it is made.

Every call carries what each kind of advice would spare in it, worked out here from prices and from
how the call was made, so that the replay in SQL is compared with something that does not read logs.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa

from tests.integration.dbt_lab import EVENT, Lab
from warehouse.lake import writing

NOW = datetime(2026, 11, 23, 12)
FIRST = date(2026, 10, 26)
DAYS = 28
OPUS, SONNET, HAIKU, MINI = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5", "gpt-5-mini"
PROVIDERS = {OPUS: "anthropic", SONNET: "anthropic", HAIKU: "anthropic", MINI: "openai"}
PRICES: dict[str, dict[str, float]] = {
    OPUS: {"input": 4, "cache_read": 0.2, "cache_write": 5, "output": 20},
    SONNET: {"input": 2, "cache_read": 0.1, "cache_write": 2.5, "output": 10},
    HAIKU: {"input": 1, "cache_read": 0.1, "cache_write": 1.25, "output": 5},
    MINI: {"input": 0.25, "cache_read": 0.025, "output": 2},
}
"""US dollars for a million tokens."""

CREDITS_PER_USD = 126.0
"""What the planted account pays for a dollar of list price."""

RATED_PER_USD = 140.0
"""What the rate card asks for one."""

COLUMNS = (
    *("load_id", "line_number", "source", "event_id", "revision", "is_withdrawn"),
    *("identity_hash", "account_id", "agent_id", "category", "model", "occurred_at"),
    *("usage_date_utc", "execution_ms", "credits", "input_tokens", "cache_read_tokens"),
    *("cache_write_tokens", "output_tokens", "status", "session_id", "request_hash"),
)
NAMES = count()


@dataclass
class Call:
    """A call and what each kind of advice, by the agent's scope of it, would spare in it."""

    row: dict[str, Any]
    spares: dict[str, float] = field(default_factory=dict)


def usd(model: str, prompt: int, output: int) -> float:
    """The list price of a call without any cache."""
    return (prompt * PRICES[model]["input"] + output * PRICES[model]["output"]) / 1e6


def call(
    agent_id: str,
    moment: datetime,
    model: str | None,
    prompt: int | None,
    output: int | None,
    *,
    spares: dict[str, float] | None = None,
    credits: float | None = None,
    **given: Any,
) -> Call:
    """A call; its credits are those of the planted account unless ``credits`` says otherwise."""
    if credits is None and model in PRICES and prompt is not None and output is not None:
        credits = CREDITS_PER_USD * usd(model, prompt, output)
    row = {
        **EVENT,
        "account_id": "planted",
        "agent_id": agent_id,
        "model": model,
        "event_id": f"call {next(NAMES)}",
        "occurred_at": moment,
        "input_tokens": prompt,
        "output_tokens": output,
        "credits": None if credits is None else round(credits, 9),
        "identity_hash": 0,
        **given,
    }
    row["usage_date_utc"] = row["occurred_at"].date()
    return Call(row, spares or {})


def moments(
    chance: random.Random, number: int, days: int = DAYS, first: date = FIRST
) -> Iterable[datetime]:
    """Times spread over the days, none near midnight, none close to another of the same day."""
    for index in range(number):
        day = first + timedelta(days=index * days // number)
        yield datetime(day.year, day.month, day.day, 6) + timedelta(
            seconds=41 * (index % 700) + chance.randrange(20)
        )


def cheaper(model: str, candidate: str, prompt: int, output: int) -> float:
    """What the cheaper model would have spared."""
    return CREDITS_PER_USD * (usd(model, prompt, output) - usd(candidate, prompt, output))


def sorter(chance: random.Random) -> list[Call]:
    """Sorts tickets with the largest model: most calls are short, some are long."""
    calls = []
    for moment in moments(chance, 400):
        is_long = chance.random() < 0.3
        prompt = chance.randrange(9_000, 20_000) if is_long else chance.randrange(300, 2_900)
        output = chance.randrange(500, 900) if is_long else chance.randrange(40, 290)
        spared = {} if is_long else {"cheaper_model": cheaper(OPUS, SONNET, prompt, output)}
        calls.append(call("sorter", moment, OPUS, prompt, output, spares=spared))
    return calls


def writer(chance: random.Random) -> list[Call]:
    """Writes long texts with the middle model: nothing to spare, but its price is known by it."""
    return [
        call("writer", moment, SONNET, chance.randrange(5_000, 9_000), chance.randrange(600, 1_500))
        for moment in moments(chance, 120)
    ]


def asker(chance: random.Random) -> list[Call]:
    """Asks the largest model short questions, of which many are the same: overlaps."""
    calls: list[Call] = []
    asked: dict[tuple[date, str], bool] = defaultdict(bool)
    sizes = {f"q{n}": (chance.randrange(500, 2_500), chance.randrange(50, 250)) for n in range(12)}
    for moment in moments(chance, 900):
        name = chance.choice(list(sizes))
        prompt, output = sizes[name]
        spared = {"cheaper_model": cheaper(OPUS, SONNET, prompt, output)}
        if asked[moment.date(), name]:
            spared["repeated_requests"] = CREDITS_PER_USD * usd(OPUS, prompt, output)
        asked[moment.date(), name] = True
        calls.append(call("asker", moment, OPUS, prompt, output, spares=spared, request_hash=name))
    return calls


def poller(chance: random.Random) -> list[Call]:
    """Sends the same long prompt five times an hour, in a log without hashes."""
    calls = []
    for moment in moments(chance, 40):
        prompt, output = chance.randrange(31_000, 40_000), chance.randrange(400, 900)
        for repeat in range(5):
            spared = CREDITS_PER_USD * usd(SONNET, prompt, output) if repeat else 0
            calls.append(
                call(
                    "poller",
                    moment + timedelta(hours=1, seconds=repeat * 7),
                    SONNET,
                    prompt,
                    output,
                    spares={"repeated_shapes": spared} if repeat else {},
                )
            )
    return calls


def talker(chance: random.Random) -> list[Call]:
    """Talks: each prompt holds the whole conversation before it, and nothing is cached."""
    calls = []
    price = PRICES[OPUS]
    for number, moment in enumerate(moments(chance, 60)):
        prompt, before = chance.randrange(3_500, 6_000), 0
        for turn in range(chance.randrange(5, 9)):
            output = chance.randrange(350, 700)
            written = prompt - before + (before if turn == 1 else 0)
            spared = (
                CREDITS_PER_USD
                / 1e6
                * (
                    before * (price["input"] - price["cache_read"])
                    - written * (price["cache_write"] - price["input"])
                )
            )
            calls.append(
                call(
                    "talker",
                    moment + timedelta(hours=8, seconds=20 * turn),
                    OPUS,
                    prompt,
                    output,
                    spares={"prompt_caching": spared} if turn and spared > 0 else {},
                    session_id=f"talk {number}",
                )
            )
            before, prompt = prompt, prompt + output + chance.randrange(20, 400)
    return calls


def bulk(chance: random.Random) -> list[Call]:
    """Translates thirty small texts at once, every night."""
    calls = []
    for moment in moments(chance, 28):
        for number in range(30):
            prompt, output = chance.randrange(100, 900), chance.randrange(20, 190)
            credits = 40 * usd(MINI, prompt, output) * CREDITS_PER_USD
            calls.append(
                call(
                    "bulk",
                    moment + timedelta(hours=9, seconds=2 * number),
                    MINI,
                    prompt,
                    output,
                    credits=credits,
                    spares={"batching": credits / 2},
                )
            )
    return calls


def flaky(chance: random.Random) -> list[Call]:
    """Fails every fourth time, after the tokens were paid for."""
    calls = []
    for number, moment in enumerate(moments(chance, 320)):
        prompt, output = chance.randrange(5_000, 9_000), chance.randrange(400, 900)
        is_failed = number % 4 == 0
        spared = {"failures": CREDITS_PER_USD * usd(SONNET, prompt, output)} if is_failed else {}
        status = "error" if is_failed else "ok"
        calls.append(call("flaky", moment, SONNET, prompt, output, spares=spared, status=status))
    return calls


def calm(chance: random.Random) -> list[Call]:
    """Does everything right: long calls of different sizes, few failures, no burst."""
    return [
        call(
            "calm",
            moment,
            SONNET,
            chance.randrange(5_000, 30_000),
            chance.randrange(400, 2_000),
            status="error" if number % 40 == 0 else "ok",
            request_hash=f"once {number}",
            session_id=f"calm {number % 50}",
        )
        for number, moment in enumerate(moments(chance, 300))
    ]


def rated(chance: random.Random) -> list[Call]:
    """Another account, whose log has no credits: the rate card prices it."""
    calls = []
    for moment in moments(chance, 200):
        prompt, output = chance.randrange(300, 2_900), chance.randrange(40, 290)
        spared = RATED_PER_USD * (usd(SONNET, prompt, output) - usd(HAIKU, prompt, output))
        calls.append(
            call("clerk", moment, SONNET, prompt, output, spares={"cheaper_model": spared})
        )
    for moment in moments(chance, 28):
        for number in range(25):
            calls.append(
                call(
                    "lookup",
                    moment + timedelta(hours=9, seconds=number),
                    None,
                    None,
                    None,
                    category="sql",
                    execution_ms=20,
                    spares={"batching": 0.2 * (1 - 1 / 20)},
                )
            )
    for each in calls:
        each.row["credits"] = None
        each.row["account_id"] = "rated"
    calls += [
        call("other", moment, HAIKU, 20_000, 900, account_id="bystander")
        for moment in moments(chance, 30)
    ]
    return calls


def planted(seed: int = 5) -> list[Call]:
    """All of it."""
    chance = random.Random(seed)
    makers = (sorter, writer, asker, poller, talker, bulk, flaky, calm, rated)
    return [each for maker in makers for each in maker(chance)]


def noise(seed: int = 6, accounts: int = 40, calls: int = 150) -> list[Call]:
    """Random calls of few kinds, close together: every kind of advice overlaps with every other."""
    chance = random.Random(seed)
    made = []
    for account in range(accounts):
        for _ in range(calls):
            day = FIRST + timedelta(days=chance.randrange(3))
            moment = datetime(day.year, day.month, day.day, 8) + timedelta(
                seconds=chance.randrange(120)
            )
            prompt = chance.choice((1_100, 1_200, 900, 4_000))
            made.append(
                call(
                    chance.choice(("a", "b")),
                    moment,
                    chance.choice((OPUS, OPUS, MINI)),
                    prompt,
                    chance.choice((10, 100)),
                    account_id=f"noise {account}",
                    status=chance.choice(("ok", "ok", "error")),
                    session_id=chance.choice((None, "s")),
                    request_hash=chance.choice((None, "h", "i", "j")),
                )
            )
    return made


def odd() -> list[Call]:
    """Accounts of which little can be said: of one day, of zeros, without prices or tokens."""
    noon = datetime(2026, 11, 10, 12)

    def many(number: int, **given: Any) -> list[Call]:
        values = {"model": "phantom", "prompt": 1_000, "output": 100, "credits": 1.0, **given}
        return [
            call("scout", noon + timedelta(minutes=minute), **values) for minute in range(number)
        ]

    return [
        *many(60, account_id="one day", request_hash="same"),
        *many(60, account_id="zeros", credits=0.0, request_hash="same", status="error"),
        *many(60, account_id="unpriced", prompt=1_500),
        *many(60, account_id="no tokens", prompt=0, output=0),
        *many(60, account_id="long ago", occurred_at=datetime(2026, 3, 1), request_hash="same"),
    ]


AFTER = date(2026, 11, 24)
"""The first day after the advice was accepted."""


def afterwards(seed: int = 7) -> tuple[list[Call], dict[str, float]]:
    """Two weeks after the advice was accepted, and what was really spared by agent.

    The sorter uses the smaller model for twice as many short calls, the asker keeps answers, the
    flaky one fails every tenth time, bulk goes on as before, the clerk has another name.
    """
    chance = random.Random(seed)
    calls, spared = [], defaultdict(float)
    for moment in moments(chance, 560, 14, AFTER):
        prompt, output = chance.randrange(300, 2_900), chance.randrange(40, 290)
        calls.append(call("sorter", moment, SONNET, prompt, output))
        spared["sorter"] += cheaper(OPUS, SONNET, prompt, output)
    for each in asker(chance):
        moment = each.row["occurred_at"] + timedelta(days=29)
        if "repeated_requests" in each.spares:
            spared["asker"] += each.spares["repeated_requests"]
        else:
            day = {"occurred_at": moment, "usage_date_utc": moment.date()}
            calls.append(Call({**each.row, **day}))
    for number, moment in enumerate(moments(chance, 400, 14, AFTER)):
        prompt, output = chance.randrange(5_000, 9_000), chance.randrange(400, 900)
        status = "error" if number % 10 == 0 else "ok"
        calls.append(call("flaky", moment, SONNET, prompt, output, status=status))
        # 360 calls went well: 120 would have failed besides, and 40 did.
        spared["flaky"] += CREDITS_PER_USD * usd(SONNET, prompt, output) * 80 / 400
    for each in bulk(chance)[: 14 * 30]:
        moment = each.row["occurred_at"] + timedelta(days=29)
        day = {"occurred_at": moment, "usage_date_utc": moment.date()}
        calls.append(Call({**each.row, **day}))
    spared["bulk"] = 0.0
    for moment in moments(chance, 100, 14, AFTER):
        calls.append(call("clerk-2", moment, HAIKU, 900, 90, account_id="rated"))
    return calls, dict(spared)


def expected(calls: Iterable[Call]) -> dict[tuple[str, str, str], float]:
    """What can be spared in all, by account, agent and kind; an overlap counts where it is more."""
    found: dict[tuple[str, str, str], float] = defaultdict(float)
    for each in calls:
        if each.spares:
            kind = max(each.spares, key=lambda name: each.spares[name])
            found[each.row["account_id"], each.row["agent_id"], kind] += each.spares[kind]
    return dict(found)


def load(lab: Lab, calls: Sequence[Call], **tables: Any) -> int:
    """Load calls as one batch, at once, with rows of other tables."""
    load_id = lab.load(**tables)
    rows = [{name: each.row.get(name) for name in COLUMNS} for each in calls]
    for row in rows:
        row["load_id"] = load_id
    new = pa.Table.from_pylist(rows)
    with writing(lab.settings, "raw") as connection:
        connection.register("new_calls", new)
        connection.execute(
            f"insert into raw.main.usage_event ({', '.join(COLUMNS)})"
            f" select {', '.join(COLUMNS)} from new_calls"
        )
    return load_id


def references(accounts: Iterable[str]) -> dict[str, Any]:
    """Terms of the accounts, list prices and the rate card."""
    start = datetime(2026, 1, 1)
    return {
        "account_term": [{"account_id": account} for account in accounts],
        "model_price": [
            {
                "release": "1",
                "provider": PROVIDERS[model],
                "price_model": model,
                "token_kind": kind,
                "usd_per_mtok": price,
                "effective_from": start,
                "tier_start": 0,
                "recorded_at": start,
            }
            for model, prices in PRICES.items()
            for kind, price in prices.items()
        ],
        "model_match": [
            {
                "release": "1",
                "model": model,
                "provider": provider,
                "price_model": model,
                "model_name": model,
                "recorded_at": start,
            }
            for model, provider in PROVIDERS.items()
        ],
        "rate": [
            {
                "category": "llm",
                "model": model,
                "unit": f"{kind}_token",
                "credits_per_unit": RATED_PER_USD * PRICES[model][kind] / 1e6,
            }
            for model in (SONNET, HAIKU)
            for kind in ("input", "output")
        ]
        + [{"category": "sql", "unit": "call", "credits_per_unit": 0.2}],
    }
