"""What holds for every projection, whatever was used: tried on the models' own SQL.

dbt compiles the models once; an example then runs them in an engine of its own, in memory.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.integration.dbt_lab import Lab

MODELS = (
    "dim_date",
    "int_projection_accounts_dated",
    "int_projection_days_levelled",
    "int_projection_probed",
    "int_projection_replayed",
    "int_projection_parts_levelled",
    "fct_projection_daily",
    "fct_projection",
    "fct_projection_backtest",
)
AGENTS = ("scout", "writer", "ghost")
PLACES = {
    "scout": ("llm", "gpt-4o"),
    "writer": ("llm", "gpt-5"),
    "ghost": ("sql", "(none)"),
}
LAST = date(2026, 11, 17)
NANO = Decimal("0.000000001")

Use = Sequence[tuple[date, str, Decimal]]
"""Credits of a day and an agent."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The SQL of each model, as dbt writes it for a lake that is built for the first time."""
    lab = Lab(tmp_path_factory.mktemp("compiled"))
    lab.load(account_term=[{}])
    done = lab.dbt("compile", "--select", *MODELS)
    return {result.node.name: result.node.compiled_code for result in done.result.results}


@cache
def _calendar(sql: str) -> list[tuple[Any, ...]]:
    return duckdb.execute(
        f"select * from ({sql}) where date_day between '2024-01-01' and '2028-01-01'"
    ).fetchall()


class Projected:
    """The projections of one account's use, made at noon of ``today``."""

    def __init__(
        self, models: Mapping[str, str], use: Use, today: date = LAST, zone: str = "UTC"
    ) -> None:
        self.engine = duckdb.connect()
        run = self.engine.execute
        run("attach ':memory:' as marts")
        run("use marts.main")
        run("create table int_projection_accounts_touched as select 'acme' as account_id")
        run(f"create table dim_account as select 'acme' as account_id, '{zone}' as time_zone")
        run(
            "create table int_refresh_bounded as select"
            " timezone('UTC', timezone($zone, $noon)) as as_of",
            {
                "zone": zone,
                "noon": datetime.combine(today, datetime.min.time()) + timedelta(hours=12),
            },
        )
        run(
            "create table used (usage_date date, agent_id varchar, category varchar,"
            " model varchar, credits decimal(38, 9))"
        )
        if use:
            self.engine.executemany(
                "insert into used values (?, ?, ?, ?, ?)",
                [(day, agent, *PLACES[agent], credits) for day, agent, credits in use],
            )
        for table, keys in (
            ("fct_usage_log_daily", "usage_date, agent_id, category, model"),
            ("fct_usage_monthly", "agent_id, category, model"),
            ("fct_usage_account_daily", "usage_date"),
        ):
            run(
                f"create table {table} as select 'acme' as account_id,"
                " cast(date_trunc('month', usage_date) as date) as month,"
                f" {keys}, sum(credits) as credits, cast(sum(credits) * 0.01 as decimal(38, 12))"
                " as provider_cost_usd,"
                " min(cast(usage_date as timestamp)) as first_occurred_at"
                " from used group by all"
            )
        for name in MODELS:
            run(f"create table {name} as {models[name]}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.engine.execute(sql).fetchall()

    def whole(self) -> dict[str, Any]:
        """The account's projection by column; empty where there is none."""
        found = self.engine.execute("select * from fct_projection where scope = 'account'")
        names = [column[0] for column in found.description or []]
        row = found.fetchone()
        return dict(zip(names, row, strict=True)) if row else {}


@pytest.fixture(scope="module")
def project(models):
    opened: list[Projected] = []

    def made(use: Use, **more: Any) -> Projected:
        while opened:
            opened.pop().engine.close()
        opened.append(Projected(models, use, **more))
        return opened[-1]

    return made


def every_day(credits: Decimal | int, days: int, agent: str = "scout", last: date = LAST) -> Use:
    """So many credits on each of the ``days`` up to ``last``."""
    return [(last - timedelta(back), agent, Decimal(credits)) for back in range(days)]


@st.composite
def uses(draw: st.DrawFn) -> Use:
    """A use of some agents: steady, sparse, ended, new, with a giant day."""
    found: list[tuple[date, str, Decimal]] = []
    for agent in AGENTS[: draw(st.integers(1, 3))]:
        first = draw(st.sampled_from([1, 3, 13, 14, 40, 120, 430]))
        ended = draw(st.sampled_from([0, 0, 0, 1, 30, 100]))
        seed = draw(st.integers(0, 10**6))
        level = draw(st.just(0) | st.integers(10**6, 10**12)) * NANO
        density = draw(st.sampled_from([1, 1, 2, 5]))
        giant = draw(st.sampled_from([0, 0, 100]))
        for back in range(ended, first):
            noise = hash((seed, back)) % 1000
            if noise % density == 0:
                factor = giant if giant and back == first // 2 else 1
                credits = (level * (500 + noise) / 1000 * factor).quantize(NANO)
                found.append((LAST - timedelta(back), agent, credits))
    return found


TRIED = settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@TRIED
@given(uses())
def test_parts_add_up_to_the_whole_and_ranges_hold_their_point(project, use):
    made = project(use)
    for column in ("credits", "projected_credits", "projected_cost_usd"):
        sums = made.rows(f"select scope, sum({column}) from fct_projection group by scope")
        assert len({total for _, total in sums}) <= 1, (column, sums)
    days = made.rows(
        "select usage_date, scope, sum(expected_credits) from fct_projection_daily group by all"
    )
    assert len({(day, total) for day, _, total in days}) == len({day for day, _, _ in days})
    assert made.rows("select * from fct_projection_daily where expected_credits < 0") == []
    assert (
        made.rows(
            "select * from fct_projection where not (0 <= credits"
            " and credits <= projected_low_credits and projected_low_credits <= projected_credits"
            " and projected_credits <= projected_high_credits"
            " and projected_low_cost_usd <= projected_cost_usd"
            " and projected_cost_usd <= projected_high_cost_usd and spread >= 0)"
        )
        == []
    )
    assert (
        made.rows(
            "select * from fct_projection_backtest where not (credits <= projected_low_credits"
            " and projected_low_credits <= projected_credits"
            " and projected_credits <= projected_high_credits)"
        )
        == []
    )


@TRIED
@given(uses(), st.integers(2, 1000))
def test_more_usage_is_projected_as_so_much_more(project, use, factor):
    once = project(use).whole()
    more = project([(day, agent, credits * factor) for day, agent, credits in use]).whole()
    for column in ("projected_credits", "projected_low_credits", "projected_high_credits"):
        if once:
            wanted = float(once[column] * factor)
            assert float(more[column]) == pytest.approx(wanted, rel=1e-4, abs=factor * 1e-6)


@TRIED
@given(st.integers(1, 10**14), st.sampled_from([15, 90, 430]))
@example(Decimal("0.000000001") / NANO, 430)
def test_a_constant_use_is_projected_exactly(project, nano, days):
    credits = int(nano) * NANO
    whole = project(every_day(credits, days)).whole()
    used = min(days, LAST.day)
    assert whole["credits"] == used * credits
    assert whole["projected_credits"] == (used + 30 - LAST.day) * credits
    assert whole["projected_low_credits"] == whole["projected_high_credits"]


@pytest.mark.parametrize("days", [1, 2, 8, 13])
def test_a_thin_history_is_said_and_its_range_is_wide(project, days):
    whole = project(every_day(10, days)).whole()
    assert (whole["is_thin"], whole["interval_basis"]) == (True, "thin")
    rest = whole["projected_credits"] - whole["credits"]
    assert whole["projected_high_credits"] - whole["projected_credits"] >= rest / 2
    assert whole["projected_credits"] >= whole["credits"]


def test_an_account_of_one_day_goes_on_like_it(project):
    assert project([(LAST, "scout", Decimal(10))]).whole()["projected_credits"] == 10 * 14


def test_zeros_are_projected_as_zero(project):
    whole = project(every_day(0, 100)).whole()
    assert (whole["projected_credits"], whole["projected_high_credits"]) == (0, 0)


def test_what_was_last_used_a_year_ago_is_not_projected(project):
    assert project(every_day(5, 60, last=LAST - timedelta(300))).whole() == {}


def test_one_giant_day_moves_the_projection_little(project):
    steady = every_day(10, 120)
    giant = [*steady, (LAST - timedelta(7), "scout", Decimal(10_000))]
    rest = [
        project(use).whole()["projected_credits"] - project(use).whole()["credits"]
        for use in (steady, giant)
    ]
    assert rest[0] == rest[1] == 130


def test_a_gap_of_some_days_counts_as_days_without_usage_and_is_borne(project):
    use = [each for each in every_day(10, 120) if not 30 < (LAST - each[0]).days < 36]
    whole = project(use).whole()
    assert whole["projected_credits"] - whole["credits"] == 130


def test_a_new_agent_gets_its_share_at_once_and_is_said_to_be_new(project):
    made = project([*every_day(30, 120), *every_day(10, 5, "writer")])
    parts = dict(
        made.rows(
            "select part, projected_credits - credits from fct_projection where scope = 'agent'"
        )
    )
    assert parts["writer"] > 0
    assert dict(made.rows("select part, is_thin from fct_projection where scope = 'agent'")) == {
        "scout": False,
        "writer": True,
    }


def test_a_renamed_agent_leaves_the_account_as_it_is(project):
    before = project(every_day(10, 120)).whole()
    renamed = [
        (day, "scout" if day < LAST - timedelta(5) else "writer", credits)
        for day, _, credits in every_day(10, 120)
    ]
    after = project(renamed).whole()
    for column in ("projected_credits", "projected_low_credits", "projected_high_credits"):
        assert before[column] == after[column]


def test_a_weekday_is_projected_as_that_weekday(project):
    use = [
        (day, agent, Decimal(2 if day.isoweekday() >= 6 else 10))
        for day, agent, _ in every_day(1, 120)
    ]
    days = dict(
        project(use).rows(
            "select usage_date, expected_credits from fct_projection_daily"
            " where scope = 'account' order by 1"
        )
    )
    assert days[date(2026, 11, 21)] == days[date(2026, 11, 22)] == 2
    assert days[date(2026, 11, 20)] == days[date(2026, 11, 30)] == 10
    assert days[LAST] == 0, "today has its level already"


@pytest.mark.parametrize(
    ("today", "days"), [(date(2027, 2, 11), 28), (date(2028, 2, 11), 29), (date(2026, 12, 11), 31)]
)
def test_a_month_is_as_long_as_it_is(project, today, days):
    whole = project(every_day(1, 100, last=today), today=today).whole()
    assert whole["projected_credits"] == days


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"])
@pytest.mark.parametrize("today", [date(2026, 10, 25), date(2026, 3, 29), date(2026, 11, 30)])
def test_today_is_the_accounts_own_day_also_at_the_date_line_and_when_clocks_change(
    project, zone, today
):
    whole = project(every_day(1, 100, last=today), today=today, zone=zone).whole()
    assert whole["projected_on"] == today
    assert whole["month"] == today.replace(day=1)


def test_the_year_before_moves_the_projection_half_the_way(project):
    last_november = [LAST - timedelta(364 - ahead) for ahead in range(14)]
    use = [
        (day, agent, Decimal(16 if day in last_november else 4))
        for day, agent, _ in every_day(1, 500)
    ]
    whole = project(use).whole()
    rest = float(whole["projected_credits"] - whole["credits"])
    assert rest == pytest.approx(4 * 14 * 2**0.5 - 4, rel=1e-6), "at most a factor of two, its root"


def test_a_replayed_projection_knows_nothing_of_the_days_after_it(project):
    steady = every_day(10, 430)
    later = [
        (day, agent, credits * (3 if day >= date(2026, 10, 11) else 1))
        for day, agent, credits in steady
    ]
    sql = (
        "select projected_credits, actual_credits, is_inside from fct_projection_backtest"
        " where month = '2026-10-01' and elapsed_days = 10"
    )
    assert project(steady).rows(sql) == [(310, 310, True)]
    assert project(later).rows(sql) == [(310, 100 + 21 * 30, False)]


def test_the_backtest_has_twelve_months_and_three_days_of_each(project):
    made = project(every_day(10, 700))
    assert made.rows(
        "select count(*), count(distinct month), min(month), max(month), max(replays)"
        " from fct_projection_backtest"
    ) == [(36, 12, date(2025, 11, 1), date(2026, 10, 1), 24)]


def test_each_refresh_projects_from_its_own_day_on_and_says_when_credits_run_out(tmp_path):
    lab = Lab(tmp_path, now=datetime(2026, 11, 23, 12))
    use = [
        {"event_id": f"{back}", "occurred_at": datetime(2026, 11, 22, 10) - timedelta(back)}
        for back in range(30)
    ]

    def projected(**tables: Any) -> tuple[Any, ...]:
        lab.dbt(
            "run", "--select", "+fct_projection_run_out", "fct_projection",
            raw_load_id=lab.load(**tables),
        )  # fmt: skip
        (row,) = lab.query(
            "select projected_credits, run_out_date from marts.main.fct_projection"
            " inner join marts.main.fct_projection_run_out using (account_id)"
            " where scope = 'account'"
        )
        return row

    lot = {"credits": 40, "effective_at": datetime(2026, 10, 1)}
    first = projected(account_term=[{}], usage_event=use, credit_grant=[lot])
    assert first == (30, date(2026, 12, 3)), "ten credits are left, the first of them for today"
    lab.now = datetime(2026, 11, 24, 1)
    more = {"event_id": "more", "occurred_at": datetime(2026, 11, 23, 11), "credits": 5}
    assert projected(usage_event=[more]) == (34, date(2026, 11, 29))
