"""Everything the Overview shows of one account and month.

Credits and shares are Decimals as the marts hold them; months are their first day and days are
the account's own.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.gate import Account, AccountQuestion, AccountReader, Gate, SharedQuestion
from app.queries.insights_projection import REPLAYS, TrackRecord, nearest_replay, track_record

TOP_AGENTS = 8
SPARKLINE_DAYS = 30


@dataclass(frozen=True)
class MonthTotals:
    """The month as a whole. ``projected_credits`` is the total once it is complete.

    The range holds it in 80 % of months and is None once it is complete; ``run_out_date`` is the
    first day that the account's credits are not expected to cover.
    """

    month: date
    credits: Decimal
    events: int
    failed_events: int
    unrated_events: int
    exposure_low_credits: Decimal | None
    exposure_high_credits: Decimal | None
    total_tokens: int | None
    provider_cost_usd: Decimal | None
    unpriced_events: int
    previous_credits: Decimal | None
    previous_credits_to_date: Decimal | None
    days_in_month: int
    elapsed_days: Decimal
    is_complete: bool
    projected_credits: Decimal | None
    projected_low_credits: Decimal | None
    projected_high_credits: Decimal | None
    projected_cost_usd: Decimal | None
    history_days: int | None
    is_thin: bool | None
    run_out_date: date | None
    earliest_run_out_date: date | None
    latest_run_out_date: date | None

    @property
    def is_in_credits(self) -> bool:
        """Whether the month can be drawn in credits; one without any is drawn in operations."""
        return self.credits > 0


@dataclass(frozen=True)
class PathDay:
    """A day to come: what is expected of it, and of the month up to its end with an 80 % range."""

    usage_date: date
    expected_credits: Decimal
    projected_credits: Decimal
    projected_low_credits: Decimal
    projected_high_credits: Decimal


@dataclass(frozen=True)
class Day:
    """One day; ``expected_credits`` is usual for its weekday, above ``high_credits`` is a spike.

    ``incident_date`` names the incident that explains a spike, marked as expected or not.
    """

    usage_date: date
    credits: Decimal
    events: int
    failed_events: int
    expected_credits: Decimal | None
    high_credits: Decimal | None
    is_spike: bool
    is_expected: bool
    incident_date: date | None


@dataclass(frozen=True)
class CategoryUse:
    """One category's part of the month."""

    category: str
    label: str
    sort_order: int
    credits: Decimal
    share: Decimal
    events: int
    unrated_events: int


@dataclass(frozen=True)
class ModelUse:
    """One model's part of the month; the provider's cost is None where it is not known."""

    model: str
    model_name: str | None
    provider: str | None
    is_priced: bool
    credits: Decimal
    share: Decimal
    events: int
    unrated_events: int
    total_tokens: int | None
    provider_cost_usd: Decimal | None
    credits_per_mtok: Decimal | None


@dataclass(frozen=True)
class AgentUse:
    """One agent's part of the month."""

    agent_id: str
    credits: Decimal
    share: Decimal
    events: int
    unrated_events: int
    failed_events: int
    last_used_at: datetime | None


@dataclass(frozen=True)
class AgentDay:
    """One agent's day."""

    agent_id: str
    usage_date: date
    credits: Decimal
    events: int


@dataclass(frozen=True)
class Freshness:
    """Up to when the published figures reach; times are UTC."""

    as_of: datetime | None
    newest_event_at: datetime | None
    raw_load_id: int | None


@dataclass(frozen=True)
class Pending:
    """Usage above the published load: arrived, not settled. Credits are those of the log."""

    events: int
    logged_credits: Decimal | None
    unlogged_events: int


MONTH = AccountQuestion("rpt_overview_month", MonthTotals, where="month = $month")
DAYS = AccountQuestion(
    "rpt_overview_daily",
    Day,
    where="usage_date >= $first and usage_date < $until",
    order="usage_date",
)
PATH = AccountQuestion(
    "rpt_overview_projection_daily", PathDay, where="month = $month", order="usage_date"
)
CATEGORIES = AccountQuestion(
    "rpt_overview_category",
    CategoryUse,
    where="month = $month",
    order="credits desc, events desc, sort_order",
)
MODELS = AccountQuestion(
    "rpt_overview_model",
    ModelUse,
    where="month = $month",
    order="credits desc, provider_cost_usd desc nulls last, events desc, model",
)
AGENTS = AccountQuestion(
    "rpt_overview_agent",
    AgentUse,
    where="month = $month",
    order="credits desc, events desc, agent_id",
)
AGENT_DAYS = AccountQuestion(
    "rpt_overview_agent_daily",
    AgentDay,
    where="list_contains($agents, agent_id) and usage_date > $after and usage_date <= $last",
    order="agent_id, usage_date",
)
PENDING = AccountQuestion(
    "raw.main.usage_event",
    Pending,
    where="load_id > $raw_load_id and not is_withdrawn",
    state="head",
    columns={
        "events": "count(*)",
        "logged_credits": "sum(credits)",
        "unlogged_events": "count(*) filter (where credits is null and status = 'ok')",
    },
)
FRESHNESS = SharedQuestion(Freshness, "rpt_freshness")


@dataclass(frozen=True)
class Overview:
    """The figures of one account and month at one publication.

    ``days`` reach from the first day of the month before to the last day of usage in the month;
    ``path`` are the days to come, today being the first; none in a complete month. ``record`` is
    how past projections of the account fared, made about as late in their months.
    ``sparklines`` hold :data:`SPARKLINE_DAYS` values for each of the top agents. Without
    ``sees_cost`` every provider cost is None, whatever it is.
    """

    account: Account
    month: date
    totals: MonthTotals | None
    days: tuple[Day, ...]
    path: tuple[PathDay, ...]
    record: TrackRecord | None
    categories: tuple[CategoryUse, ...]
    models: tuple[ModelUse, ...]
    agents: tuple[AgentUse, ...]
    sparklines: dict[str, tuple[Decimal, ...]]
    sees_cost: bool

    @property
    def is_in_credits(self) -> bool:
        """Whether charts and shares are in credits; they are in operations else."""
        return self.totals is not None and self.totals.is_in_credits


def known_credits(use: MonthTotals | CategoryUse | ModelUse | AgentUse) -> Decimal | None:
    """The credits of a sum; None where it has none and operations are held back without a rate."""
    return use.credits if use.credits or not use.unrated_events else None


def gather_overview(reader: AccountReader, month: date) -> Overview:
    """Read the overview of the month that starts at ``month``."""
    until = next_month(month)
    started = reader.start(MONTH, month=month)
    started_days = reader.start(DAYS, first=previous_month(month), until=until)
    started_agents = reader.start(AGENTS, month=month)
    categories = reader.start(CATEGORIES, month=month)
    models = reader.start(MODELS, month=month)
    totals = started.result()
    in_credits = bool(totals) and totals[0].is_in_credits
    has_projection = in_credits and not totals[0].is_complete
    path = reader.start(PATH, month=month) if has_projection else None
    replays = reader.start(REPLAYS) if has_projection else None
    days, agents = started_days.result(), started_agents.result()
    last = max((day.usage_date for day in days), default=until - timedelta(days=1))
    top = [agent.agent_id for agent in agents[:TOP_AGENTS]]
    agent_days = (
        reader.ask(AGENT_DAYS, agents=top, after=last - timedelta(days=SPARKLINE_DAYS), last=last)
        if top
        else []
    )
    return Overview(
        account=reader.account,
        month=month,
        totals=totals[0] if totals else None,
        days=tuple(days),
        path=tuple(path.result()) if path else (),
        record=track_record(replays.result(), nearest_replay(int(totals[0].elapsed_days)))
        if replays
        else None,
        categories=tuple(categories.result()),
        models=tuple(models.result()),
        agents=tuple(agents),
        sparklines=sparklines(top, agent_days, last, in_credits=in_credits),
        sees_cost=reader.sees_cost,
    )


def gather_freshness(gate: Gate) -> Freshness:
    """Up to when the published figures reach."""
    found = gate.ask_shared(FRESHNESS)
    return found[0] if found else Freshness(None, None, None)


def gather_pending(reader: AccountReader, raw_load_id: int) -> Pending:
    """What of this account arrived after the published load, read at the head."""
    return reader.ask(PENDING, raw_load_id=raw_load_id)[0]


def sparklines(
    agents: list[str], days: list[AgentDay], last: date, *, in_credits: bool = True
) -> dict[str, tuple[Decimal, ...]]:
    """For each agent its credits (or operations) of the :data:`SPARKLINE_DAYS` days up to ``last``.

    Days without usage are 0.
    """
    used = {
        (day.agent_id, day.usage_date): day.credits if in_credits else Decimal(day.events)
        for day in days
    }
    dates = [last - timedelta(days=back) for back in reversed(range(SPARKLINE_DAYS))]
    return {agent: tuple(used.get((agent, date), Decimal(0)) for date in dates) for agent in agents}


def months_of(account: Account) -> list[date]:
    """The months in which the account can have usage, the newest first."""
    if account.first_usage_date is None or account.last_month is None:
        return []
    months = [account.last_month]
    first = account.first_usage_date.replace(day=1)
    while months[-1] > first:
        months.append(previous_month(months[-1]))
    return months


def previous_month(month: date) -> date:
    """The first day of the month before."""
    return (month - timedelta(days=1)).replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month + timedelta(days=31)).replace(day=1)
