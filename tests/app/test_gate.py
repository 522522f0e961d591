"""The gate keeps accounts apart, whatever is asked."""

from dataclasses import dataclass, replace
from datetime import date

import pytest

from app.gate import AccountQuestion, AccountReader, Gate, StaffQuestion, UnknownAccount
from app.lake import LakeReader
from app.queries import credits, data_health, overview, usage
from app.queries.overview import AGENT_DAYS, DAYS, MONTH, PENDING, gather_overview
from tests.app.reporting_lake import HOSTILE, RAW_LOAD_ID
from warehouse.usage.selection import Selection

NOVEMBER = date(2026, 11, 1)


@dataclass(frozen=True)
class Owner:
    """Whose a row is."""

    account_id: str


@pytest.fixture
def gate(reader: LakeReader) -> Gate:
    return Gate(reader, reader.publication())


@pytest.fixture
def acme(gate: Gate) -> AccountReader:
    return gate.enter("acme")


@pytest.mark.parametrize(
    "account_id",
    ["nobody", "", "ACME", "acme ", "acme' or '1'='1", "%", "acme; drop table x", "acme\x00"],
)
def test_an_account_that_is_not_there_cannot_be_entered(gate: Gate, account_id: str):
    with pytest.raises(UnknownAccount):
        gate.enter(account_id)


@pytest.mark.parametrize(
    "model",
    [
        "rpt_account",
        "rpt_overview_month",
        "rpt_overview_daily",
        "rpt_overview_category",
        "rpt_overview_model",
        "rpt_overview_agent",
        "rpt_overview_agent_daily",
        "rpt_usage_daily",
        "rpt_usage_event",
        "rpt_usage_event_detail",
        "rpt_credits_daily",
        "rpt_credits_ledger",
    ],
)
def test_every_row_of_a_reporting_model_is_of_the_account_that_was_entered(gate: Gate, model: str):
    for account_id in ("acme", "tokyo"):
        owners = gate.enter(account_id).ask(AccountQuestion(model, Owner))
        assert {row.account_id for row in owners} == {account_id}


def test_a_condition_that_is_always_true_does_not_reach_past_the_account(acme: AccountReader):
    for where in ("true or true", "1 = 1 or account_id = 'tokyo'", "account_id = 'tokyo'"):
        owners = acme.ask(AccountQuestion("rpt_overview_month", Owner, where=where))
        assert {row.account_id for row in owners} <= {"acme"}


def test_grouping_ordering_and_paging_come_after_the_account(acme: AccountReader):
    question = AccountQuestion(
        "rpt_usage_event",
        Owner,
        where="true or true",
        group_by="account_id",
        order="account_id",
        limit=5,
        offset=0,
    )
    assert acme.ask(question) == [Owner("acme")]
    with pytest.raises(ValueError, match="invalid literal"):
        acme.ask(replace(question, limit="1; select 1"))  # type: ignore[arg-type]


def test_no_value_of_a_selection_reaches_another_account(gate: Gate):
    first, until = date(2026, 11, 1), date(2026, 12, 1)
    hostile = "x') or true or account_id in ('tokyo', 'mallory') --"
    for selection in (
        Selection(first, until),
        Selection(first, until, agents=("honyaku", hostile)),
        Selection(first, until, text=hostile),
        Selection(first, until, tags=((hostile, hostile), ("team", HOSTILE))),
        Selection(first, until, agents=tuple(f"agent {n}" for n in range(10_000))),
    ):
        condition = selection.of_events()
        for account_id in ("acme", "tokyo"):
            owners = gate.enter(account_id).ask(
                AccountQuestion("rpt_usage_event", Owner, where=condition.sql),
                **condition.parameters,
            )
            assert {row.account_id for row in owners} <= {account_id}


def test_the_account_cannot_be_passed_as_a_parameter(acme: AccountReader):
    with pytest.raises(ValueError, match="bound by the gate"):
        acme.ask(MONTH, month=NOVEMBER, account_id="tokyo")


@pytest.mark.parametrize(
    ("model", "state"),
    [
        ("fct_usage", "published"),
        ("raw.main.usage_event", "published"),
        ("marts.main.rpt_account", "published"),
        ("rpt_account where true --", "published"),
        ("rpt_account", "head"),
        ("marts.main.fct_usage", "head"),
        ("raw.main.usage_event as x where true or", "head"),
    ],
)
def test_only_reporting_models_are_read_when_settled_and_only_raw_tables_at_the_head(
    acme: AccountReader, model: str, state: str
):
    with pytest.raises(ValueError, match="may not be read"):
        acme.ask(AccountQuestion(model, Owner, state=state))


def test_values_are_bound_and_never_become_part_of_a_query(acme: AccountReader):
    rows = acme.ask(
        AGENT_DAYS,
        agents=["research-agent') or true --"],
        after=date(2026, 11, 1),
        last=date(2026, 11, 30),
    )
    assert rows == []


def test_the_sum_of_days_is_the_month_and_the_sum_of_parts_too(acme: AccountReader):
    view = gather_overview(acme, NOVEMBER)
    assert view.totals is not None
    in_month = [day for day in view.days if day.usage_date >= NOVEMBER]
    for parts in (in_month, view.categories, view.models, view.agents):
        assert sum(part.credits for part in parts) == view.totals.credits


def test_pending_usage_is_that_of_the_account_above_the_published_load(gate: Gate):
    found = {
        account_id: gate.enter(account_id).ask(PENDING, raw_load_id=RAW_LOAD_ID)[0].events
        for account_id in ("acme", "tokyo", "mallory", "idle")
    }
    assert found == {"acme": 41, "tokyo": 5, "mallory": 0, "idle": 0}


def test_nothing_settled_can_be_asked_before_publishing(reader: LakeReader):
    with pytest.raises(ValueError, match="nothing is published"):
        Gate(reader, None).accounts()


def test_every_question_about_an_account_filters_by_it():
    questions = [
        value
        for module in (overview, data_health, usage, credits)
        for value in vars(module).values()
        if isinstance(value, AccountQuestion)
    ]
    assert len(questions) >= 15
    for question in questions:
        assert "where account_id = $account_id" in question.sql()


def test_settled_questions_of_the_staff_read_reporting_models_only():
    for module in (overview, data_health, usage, credits):
        for question in vars(module).values():
            if isinstance(question, StaffQuestion) and question.state == "published":
                assert "from marts.main.rpt_" in question.sql()
                assert "raw." not in question.sql()


def test_days_are_read_from_the_first_up_to_but_not_including_the_last(acme: AccountReader):
    days = acme.ask(DAYS, first=date(2026, 11, 2), until=date(2026, 11, 4))
    assert [day.usage_date for day in days] == [date(2026, 11, 2), date(2026, 11, 3)]


def test_questions_that_were_started_are_answered_like_the_others(acme: AccountReader):
    started = [acme.start(MONTH, month=NOVEMBER) for _ in range(20)]
    assert {tuple(each.result()) for each in started} == {tuple(acme.ask(MONTH, month=NOVEMBER))}
    with pytest.raises(ValueError, match="cannot be a parameter"):
        acme.start(MONTH, month=NOVEMBER, account_id="globex").result()
