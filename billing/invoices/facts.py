"""What the published marts say of accounts' months, read at once for a close."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

from billing.invoices.charges import Charge, Kind
from billing.invoices.issued import BookBalance
from billing.live_usage import Lake
from warehouse.publication import Publication


@dataclass(frozen=True)
class MonthFacts:
    """An account's month: its bounds (aware), its terms, the statement of its credits.

    ``exposure_high`` is the most that unrated usage may cost in credits, None without a limit.
    """

    account_id: str
    month: date
    plan: str
    currency: str
    starts_at: datetime
    ends_at: datetime
    opening: Decimal
    granted: Decimal
    invoiced: Decimal
    used: Decimal
    forfeited: Decimal
    closing: Decimal
    invoiced_so_far: Decimal
    unrated_events: int
    exposure_high: Decimal | None


@dataclass(frozen=True)
class UsageRow:
    """Usage of a month by one thing: a category and model, or an agent."""

    names: tuple[str, ...]
    events: int
    tokens: int
    credits: Decimal


@dataclass(frozen=True)
class Facts:
    """Months, charges and usage at one publication.

    ``loaded_at`` is when usage was last loaded. ``charges`` are by account, month and currency.
    ``balances`` are of an account's lots, by month and currency. ``pending_since`` is the earliest
    usage of an account that is loaded and not in the marts yet.
    """

    publication: Publication
    loaded_at: datetime
    months: Mapping[tuple[str, date], MonthFacts]
    charges: Mapping[tuple[str, date], Mapping[str, tuple[Charge, ...]]]
    models: Mapping[str, tuple[UsageRow, ...]]
    agents: Mapping[str, tuple[UsageRow, ...]]
    pending_since: Mapping[str, datetime] = field(default_factory=dict)
    balances: Mapping[str, tuple[BookBalance, ...]] = field(default_factory=dict)


def read_facts(
    lake: Lake, publication: Publication, month: date, account_id: str | None = None
) -> Facts:
    """Everything of the months up to ``month`` that a close needs, of one account or of all."""
    where = "month <= $month" + (" and account_id = $account" if account_id else "")
    given: dict[str, Any] = {"month": month, **({"account": account_id} if account_id else {})}

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return lake.rows(sql, given, publication=publication)

    months = [
        MonthFacts(account, day, plan, currency, _aware(starts), _aware(ends), *figures)
        for account, day, plan, currency, starts, ends, *figures in ask(
            "select account_id, month, plan, currency, starts_at, ends_at, opening_credits,"
            " granted_credits, invoiced_credits, used_credits, forfeited_credits,"
            " closing_credits, invoiced_credits_so_far, unrated_events, exposure_high_credits"
            f" from marts.main.fct_invoice_month where {where} order by all"
        )
    ]
    charges: dict[tuple[str, date], dict[str, tuple[Charge, ...]]] = defaultdict(dict)
    for account, day, currency, kind, *amounts in ask(
        "select account_id, month, currency, kind, credits, unit_price, gross_minor, paid_minor"
        f" from marts.main.fct_invoice_draft where {where} order by all"
    ):
        before = charges[account, day].get(currency, ())
        charges[account, day][currency] = (*before, Charge(cast(Kind, kind), *amounts))
    balances: dict[str, list[BookBalance]] = defaultdict(list)
    for account, *figures in ask(
        "select account_id, month, currency, cash_minor, suspense_minor, unbilled_minor,"
        " tax_minor, deferred_minor, revenue_minor, breakage_minor"
        f" from marts.main.fct_book_balance where {where} order by all"
    ):
        balances[account].append(BookBalance(*figures))
    ((loaded_at,),) = lake.rows(
        "select max(finished_at) from marts.main.dim_load where kind in ('file', 'replay')",
        {},
        publication=publication,
    )
    return Facts(
        publication=publication,
        loaded_at=_aware(loaded_at) if loaded_at else publication.published_at,
        months={(facts.account_id, facts.month): facts for facts in months},
        charges=charges,
        models=_usage(ask, where, "category, model"),
        agents=_usage(ask, where, "agent_id"),
        pending_since=_pending(lake, publication),
        balances={account: tuple(rows) for account, rows in balances.items()},
    )


def _usage(ask: Any, where: str, by: str) -> dict[str, tuple[UsageRow, ...]]:
    found: dict[str, list[UsageRow]] = defaultdict(list)
    for account, events, tokens, credits, *names in ask(
        "select account_id, sum(events), sum(total_tokens), sum(credits), "
        f"{by} from marts.main.fct_usage_monthly where {where.replace('<=', '=')}"
        f" group by account_id, {by} order by account_id, sum(credits) desc, {by}"
    ):
        found[account].append(UsageRow(tuple(names), int(events), int(tokens), credits))
    return {account: tuple(rows) for account, rows in found.items()}


def _pending(lake: Lake, publication: Publication) -> dict[str, datetime]:
    if not lake.has_table("raw.main.usage_event"):
        return {}
    rows = lake.head_rows(
        "raw",
        "select account_id, min(occurred_at) from raw.main.usage_event"
        f" where load_id > {publication.raw_load_id} group by account_id",
    )
    return {account: _aware(first) for account, first in rows}


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
