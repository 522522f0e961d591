"""A customer of one account reaches nothing of another, by any page, parameter, query or deed.

What is tried is read from the code: a new page, parameterless or not, a new query, a new function
with figures of an account, or a new deed is tried too, or fails until it is said how.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import app.queries
from app import context, deeds, main
from app.gate import (
    SHARED_MODELS,
    AccountQuestion,
    AccountReader,
    Gate,
    SharedQuestion,
    StaffQuestion,
    UnknownAccount,
)
from app.lake import LakeReader
from app.queries.credits import LedgerFilter
from app.usage_address import EventKey, UsageView
from app.users import API, LOCAL, Forbidden, User
from billing import audit
from billing.budgets.budget import make_budget
from billing.budgets.stored import add_budget, list_budgets
from billing.members import set_member
from billing.saved_views import list_views, save_view
from billing.store import Store, open_store
from tests.app.conftest import ROOT
from tests.unit.test_users import OIDC
from warehouse.settings import Settings
from warehouse.usage.selection import Selection

VERA = User("vera@acme.example", roles={"acme": "viewer"}, origin="10.0.0.7")
ANNA = User("anna@acme.example", roles={"acme": "admin"}, origin="10.0.0.8")
NOVEMBER = date(2026, 11, 1)
WEEK = Selection(date(2026, 11, 9), date(2026, 11, 16))
SECRETS = ("Tokyo Translators", "honyaku", "kiku", "tokyo-view", "tokyo-budget", "JPY")
"""What only who sees tokyo is told; a customer cannot have put it into an address."""


@pytest.fixture
def store(stocked: Settings) -> Iterator[Store]:
    with open_store(stocked) as opened:
        for user in (VERA, ANNA):
            set_member(opened, "acme", user.name, user.roles["acme"])
        save_view(opened, "tokyo", "usage", "tokyo-view", "agent=honyaku")
        add_budget(opened, make_budget("tokyo", name="tokyo-budget", limit="77"))
        yield opened


@pytest.fixture
def reader(stocked: Settings) -> Iterator[LakeReader]:
    opened = LakeReader(stocked)
    yield opened
    opened.close()


def gate_for(user: User, reader: LakeReader, store: Store) -> Gate:
    return Gate(reader, reader.publication(), lambda: store, user)


PARAMETERS: dict[str, str | list[str]] = {
    "account": "tokyo",
    "month": "2026-11",
    "view": "1",
    "event": "meterhouse/tokyo-1/2026-11-12",
    "purchase": "1",
    "lot": "4",
    "incident": "2026-11-12",
    "advice": "a" * 32,
    "budget": "1",
    "invoice": "1",
    "page": "2",
    "group": "agent",
    "member": "tokyo",
}
"""Every parameter that any page reads, with what could be tokyo's."""


def everything_on(page: AppTest) -> str:
    """All that a page sends to the browser, charts and tables included."""
    protos = (getattr(node, "proto", None) for node in page._tree)
    found = b"\n".join(proto.SerializeToString() for proto in protos if proto is not None)
    return found.decode("utf-8", "replace")


def opened(file: Path, user: User | None, settings: Settings, monkeypatch) -> AppTest:
    for name, value in {**OIDC, "METERHOUSE_HOME": str(settings.home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("METERHOUSE_DATA_PATH", settings.data_path)
    page = AppTest.from_file(str(file), default_timeout=300)
    page.user = {"is_logged_in": False}
    if user is not None:
        page.user = {"is_logged_in": True, "email": user.name, "email_verified": True, "iat": 1}
    return page


HIDDEN = {
    path
    for section, pages in main.PAGES.items()
    for _, _, _, path in pages
    if section in main.FOR_STAFF or path in main.FOR_ADMINS
}
"""Paths of pages that a viewer does not have."""

PAGES = sorted(path for pages in main.PAGES.values() for _, _, _, path in pages)


def file_of(path: str) -> str:
    (found,) = (f for pages in main.PAGES.values() for f, _, _, each in pages if each == path)
    return found


@pytest.mark.parametrize("path", PAGES)
def test_no_page_tells_a_customer_of_another_account(
    path: str, stocked: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
):
    page = opened(ROOT / "app" / "main.py", VERA, stocked, monkeypatch)
    page.run()
    assert not page.exception
    assert "Acme Robotics" in everything_on(page)
    if path in HIDDEN:
        with pytest.raises(ValueError, match="Could not find a navigation page"):
            page.switch_page(file_of(path))
    elif path:
        page.switch_page(file_of(path))
    for name, value in PARAMETERS.items():
        page.query_params[name] = value
    page.run()
    shown = everything_on(page)
    assert not [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_that_is_run_around_the_frame_tells_nobody_else_either(
    path: str, stocked: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
):
    for user in (None, User("stranger@x.example")):
        page = opened(ROOT / "app" / file_of(path), user, stocked, monkeypatch)
        page.query_params["account"] = "tokyo"
        page.run()
        shown = everything_on(page)
        secrets = (*SECRETS, "research-agent", "Growth pack")
        assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_signed_in_sees_the_way_in_on_every_address(
    path: str, stocked: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
):
    page = opened(ROOT / "app" / "main.py", None, stocked, monkeypatch)
    page.query_params["account"] = "acme"
    page.run()
    assert [button.label for button in page.button] == ["Sign in"]
    assert "Acme" not in everything_on(page)


def test_every_parameter_that_a_page_reads_is_tried():
    read = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            named = node.args and isinstance(node.args[0], ast.Constant)
            if node.func.id in ("choose", "one") and named:
                read.add(node.args[0].value)
    assert "account" in read or "history" in read
    harmless = {"history", "from", "to", "range", "sort", "order", "min", "max", "q", "text"}
    assert read - set(PARAMETERS) - harmless == set()


def modules() -> list[Any]:
    return [
        importlib.import_module(f"app.queries.{found.name}")
        for found in pkgutil.iter_modules(app.queries.__path__)
    ]


def test_every_question_is_of_one_account_or_for_the_staff_or_of_no_account(
    reader: LakeReader, store: Store
):
    gate = gate_for(ANNA, reader, store)
    kinds = {AccountQuestion: 0, StaffQuestion: 0, SharedQuestion: 0}
    for module in modules():
        for question in vars(module).values():
            if isinstance(question, AccountQuestion):
                assert "where account_id = $account_id" in question.sql()
            elif isinstance(question, StaffQuestion):
                with pytest.raises(Forbidden):
                    gate.ask_staff(question)
            elif isinstance(question, SharedQuestion):
                assert question.model in SHARED_MODELS
                question.sql()
            else:
                continue
            kinds[type(question)] += 1
    assert all(kinds.values()), kinds


def test_every_query_module_asks_through_a_reader_or_a_gate():
    for module in modules():
        for name, function in vars(module).items():
            if not (inspect.isfunction(function) and name.startswith("gather_")):
                continue
            first = next(iter(inspect.signature(function).parameters.values()))
            assert first.annotation in (AccountReader, Gate), f"{module.__name__}.{name}"


def test_models_that_everyone_may_read_have_no_account(reader: LakeReader):
    for model in SHARED_MODELS:
        columns = reader.rows(
            "select column_name from information_schema.columns where table_name = $model",
            {"model": model},
            publication=None,
        )
        assert not [name for (name,) in columns if "account" in name or "agent" in name]


def calls(gate: Gate, account_id: str) -> dict[str, Any]:
    """How each function of ``app.context`` that tells of an account is called."""
    key = EventKey("meterhouse", "e-1", NOVEMBER)
    anything: Any = None
    return {
        "overview": lambda: context.overview(gate, account_id, NOVEMBER),
        "pending": lambda: context.pending(gate, account_id),
        "tags": lambda: context.tags(gate, account_id, WEEK.first, WEEK.until),
        "usage_summary": lambda: context.usage_summary(gate, account_id, WEEK, WEEK),
        "usage_page": lambda: context.usage_page(gate, account_id, UsageView(WEEK), anything),
        "usage_groups": lambda: context.usage_groups(gate, account_id, WEEK, (), anything),
        "usage_event": lambda: context.usage_event(gate, account_id, key),
        "usage_pending": lambda: context.usage_pending(gate, account_id, WEEK),
        "position": lambda: context.position(gate, account_id),
        "forget_position": lambda: context.forget_position(gate, account_id),
        "credit_days": lambda: context.credit_days(gate, account_id),
        "credit_ledger": lambda: context.credit_ledger(gate, account_id, LedgerFilter(), 1),
        "outlook": lambda: context.outlook(gate, account_id),
        "incidents": lambda: context.incidents(gate, account_id, NOVEMBER, NOVEMBER),
        "advice": lambda: context.advice(gate, account_id),
        "advice_weeks": lambda: context.advice_weeks(gate, account_id),
        "advice_events": lambda: context.advice_events(gate, account_id, anything, 1),
    }


def test_what_is_cached_for_one_user_is_not_told_to_another(
    stocked: Settings, reader: LakeReader, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("METERHOUSE_HOME", str(stocked.home))
    monkeypatch.setenv("METERHOUSE_DATA_PATH", stocked.data_path)
    staff, vera = gate_for(LOCAL, reader, store), gate_for(VERA, reader, store)
    takes = {
        name
        for name, function in vars(context).items()
        if inspect.isfunction(function)
        and function.__module__ == context.__name__
        and not name.startswith("_")
        and list(inspect.signature(function).parameters)[:2] == ["gate", "account_id"]
    }
    tried = calls(vera, "tokyo")
    assert set(tried) == takes, "a function without a case"
    warm = calls(staff, "tokyo")
    for name in ("overview", "pending", "position", "credit_days", "usage_summary", "outlook"):
        assert warm[name]() is not None
    for name, call in tried.items():
        with pytest.raises(UnknownAccount):
            call()
            raise AssertionError(name)
    tokyo = staff.enter("tokyo").account
    with pytest.raises(UnknownAccount):
        context.facets(vera, tokyo)
    with pytest.raises(Forbidden):
        context.data_health(staff, NOVEMBER) and context.data_health(vera, NOVEMBER)
    assert len(context.accounts(staff)) == 4
    assert [account.account_id for account in context.accounts(vera)] == ["acme"]
    assert context.accounts(gate_for(User("stranger@x.example"), reader, store)) == []
    st.cache_data.clear()


def test_no_deed_is_done_in_another_account_or_beyond_a_role(reader: LakeReader, store: Store):
    done = []
    for deed in deeds.DEEDS.values():
        gate = gate_for(ANNA, reader, store)
        with pytest.raises(UnknownAccount):
            gate.do(deed, "tokyo", done.append)
        with pytest.raises(UnknownAccount):
            gate.allow(deed, "tokyo")
        if deed.role != "viewer":
            viewer = gate_for(VERA, reader, store)
            with pytest.raises(Forbidden, match=deed.role):
                viewer.enter("acme").do(deed, lambda store, _: done.append(store), what="x")
            newest = audit.list_events(store, limit=1)[0]
            assert (newest.actor, newest.action, newest.outcome, newest.account_id) == (
                VERA.name,
                deed.action,
                "refused",
                "acme",
            )
            assert (newest.origin, newest.details) == ("10.0.0.7", {"what": "x"})
    assert done == []
    assert len(list_budgets(store, "tokyo")) == len(list_views(store, "tokyo", "usage")) == 1


def test_a_deed_is_recorded_by_its_user_and_logged_before_and_when_it_fails(
    reader: LakeReader, store: Store
):
    acme = gate_for(ANNA, reader, store).enter("acme")
    budget = make_budget("acme", name="mine", limit="5")
    made = acme.do(deeds.SAVE_BUDGET, lambda store, _: add_budget(store, budget), name="mine")
    assert made.recorded_by == ANNA.name
    with pytest.raises(Exception, match="mine"):
        acme.do(deeds.SAVE_BUDGET, lambda store, _: add_budget(store, budget), name="mine")
    outcomes = [event.outcome for event in audit.list_events(store)]
    assert outcomes == ["failed", "allowed", "allowed"]


def test_a_question_cannot_write(reader: LakeReader, store: Store):
    acme = gate_for(ANNA, reader, store).enter("acme")
    budget = make_budget("acme", name="mine", limit="5")
    with pytest.raises(RuntimeError, match="may not write"):
        acme.ask_store(lambda store, _: add_budget(store, budget))


def test_the_platforms_programs_only_look(reader: LakeReader, store: Store):
    gate = gate_for(API, reader, store)
    assert gate.enter("tokyo").account.account_id == "tokyo"
    with pytest.raises(Forbidden):
        gate.enter("tokyo").do(deeds.SAVE_VIEW, lambda store, _: None)


def test_only_the_gate_and_its_makers_reach_the_store():
    """A page that opened the store by itself would pass no gate."""
    found = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node, "id", getattr(node, "attr", ""))
            if name in ("open_store", "shared_store", "create_engine"):
                found.add(file.relative_to(ROOT / "app").as_posix())
    assert found == {"context.py", "payments.py"}


def test_gates_are_made_in_one_place_with_a_user():
    made = [
        file.name
        for file in (ROOT / "app").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Gate"
    ]
    assert made == ["context.py"]
