"""A customer of one account reaches nothing of another, by any page, parameter, query or deed.

What is tried is read from the code: a new page, parameterless or not, a new query, a new function
with figures of an account, or a new deed is tried too, or fails until it is said how.
"""

import ast
import importlib
import inspect
import pkgutil
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit import error_util
from streamlit.testing.v1 import AppTest

import app.gate
import app.queries
from app import context, deeds, exports, main
from app.gate import (
    SHARED_MODELS,
    AccountQuestion,
    AccountReader,
    Gate,
    SharedQuestion,
    StaffQuestion,
    UnknownAccount,
    is_of_the_platform,
)
from app.lake import LakeReader
from app.queries import overview
from app.queries.accounts import Standing
from app.queries.credits import LedgerFilter
from app.queries.usage import EventDetail
from app.usage_address import EventKey, UsageView
from app.users import API, LOCAL, Forbidden, NotSignedIn, User
from billing import audit
from billing.budgets.budget import make_budget
from billing.budgets.stored import add_budget, list_budgets
from billing.members import set_member
from billing.saved_views import list_views, save_view
from billing.store import Store, open_store
from tests.app.conftest import ROOT
from tests.app.reporting_lake import make_invoices, make_store
from tests.unit.test_users import OIDC
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings
from warehouse.usage.columns import Format
from warehouse.usage.selection import Selection

VERA = User("vera@acme.example", roles={"acme": "viewer"}, origin="10.0.0.7")
ANNA = User("anna@acme.example", roles={"acme": "admin"}, origin="10.0.0.8")
ROOT_USER = User("root@meter.example", everywhere="admin", origin="10.0.0.9")
NOVEMBER = date(2026, 11, 1)
WEEK = Selection(date(2026, 11, 9), date(2026, 11, 16))
SECRETS = ("Tokyo Translators", "honyaku", "kiku", "tokyo-view", "tokyo-budget", "JPY")
"""What only who sees tokyo is told; a customer cannot have put it into an address."""

COSTS = ("provider cost", "usd_per_mtok", "cost_usd", "cost-budget")
"""What only the staff is told, in lower case."""


@pytest.fixture(scope="module")
def home(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A published lake with accounts, members, budgets, views and an invoice of tokyo.

    Made once: what the tests add are rows of the log, and a budget of acme.
    """
    folder = tmp_path_factory.mktemp("isolated")
    for catalog in (published.home / "kept").glob("*.sqlite"):
        shutil.copy(catalog, folder)
    settings = Settings(home=folder, data_path=str(published.home / "lake"))
    make_store(settings)
    with open_store(settings) as opened:
        for user in (VERA, ANNA):
            set_member(opened, "acme", user.name, user.roles["acme"])
        save_view(opened, "tokyo", "usage", "tokyo-view", "agent=honyaku")
        add_budget(opened, make_budget("tokyo", name="tokyo-budget", limit="77"))
        cost = make_budget(
            "acme", name="cost-budget", limit="9", unit="usd", recipients=["ops@meter.example"]
        )
        add_budget(opened, cost)
        make_invoices(settings, only=["tokyo"])
    return settings


@pytest.fixture(scope="module")
def store(home: Settings) -> Iterator[Store]:
    with open_store(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def reader(home: Settings) -> Iterator[LakeReader]:
    opened = LakeReader(home)
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
    "invoice": "INV-2026-000001",
    "line": "1",
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


@pytest.fixture
def sign_in(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a file of the app as who signed in, or as nobody."""
    for name, value in {**OIDC, "METERHOUSE_HOME": str(home.home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("METERHOUSE_DATA_PATH", home.data_path)
    monkeypatch.setenv("METERHOUSE_PLATFORM_ADMINS", ROOT_USER.name)

    def opened(user: User | None, file: str = "main.py") -> AppTest:
        page = AppTest.from_file(str(ROOT / "app" / file), default_timeout=300)
        page.user = {"is_logged_in": False}
        if user is not None:
            page.user = {
                "is_logged_in": True,
                "email": user.name,
                "email_verified": True,
                "iat": int(time.time()),
            }
        return page

    return opened


def go(page: AppTest, path: str, address: Mapping[str, str | list[str]]) -> str:
    """Go to a page with an address; everything that it then shows."""
    page.switch_page(file_of(path))
    page.query_params.clear()
    for name, value in address.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, (path, page.exception)
    return everything_on(page)


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


def test_no_page_tells_a_customer_of_another_account(sign_in: Callable[..., AppTest]):
    for user, paths in ((VERA, PAGES), (ANNA, ["members", "budgets"])):
        page = sign_in(user)
        page.run()
        assert "Acme Robotics" in everything_on(page)
        for path in paths:
            if user is VERA and path in HIDDEN:
                with pytest.raises(ValueError, match="Could not find a navigation page"):
                    page.switch_page(file_of(path))
                continue
            shown = go(page, path, PARAMETERS)
            assert "Acme Robotics" in shown, path
            assert [secret for secret in SECRETS if secret in shown] == [], path
            assert [word for word in COSTS if word in shown.lower()] == [], path


COSTLY = {
    "": {"month": "2026-11"},
    "usage": {"event": "meterhouse/ev-1/2026-08-14"},
    "insights": {},
    "budgets": {},
}
"""Pages that tell the staff what usage costs the platform, with addresses that show it."""


def test_what_usage_costs_the_platform_is_told_to_its_staff_only(sign_in: Callable[..., AppTest]):
    for user in (ROOT_USER, ANNA):
        page = sign_in(user)
        page.run()
        for path, address in COSTLY.items():
            shown = go(page, path, {"account": "acme", **address}).lower()
            told = [word for word in COSTS if word in shown]
            assert bool(told) == user.is_staff, (path, told)


def test_a_page_that_is_run_around_the_frame_tells_nobody_else_either(
    sign_in: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(error_util, "_print_rich_exception", lambda _: None)  # it is slow
    for path in PAGES:
        for user in (None, User("stranger@x.example")):
            page = sign_in(user, file_of(path))
            page.query_params["account"] = "tokyo"
            page.run()
            shown = everything_on(page)
            secrets = (*SECRETS, "research-agent", "Growth pack")
            assert [secret for secret in secrets if secret in shown] == [], path


def test_who_has_not_signed_in_sees_the_way_in_and_no_page(sign_in: Callable[..., AppTest]):
    page = sign_in(None)
    page.query_params["account"] = "acme"
    page.run()
    assert [button.label for button in page.button] == ["Sign in"]
    assert "Acme" not in everything_on(page)
    for path in PAGES:
        with pytest.raises(ValueError, match="Could not find a navigation page"):
            page.switch_page(file_of(path))


def test_the_staff_chooses_an_account_first_and_is_told_whose_it_is(
    sign_in: Callable[..., AppTest], store: Store
):
    def logged() -> list[tuple[str, str | None]]:
        wanted = audit.AuditFilter(actor=ROOT_USER.name)
        found = audit.list_events(store, wanted)
        looks = ("account.look", "account.leave")
        return [(e.action, e.account_id) for e in reversed(found) if e.action in looks]

    before = len(logged())
    page = sign_in(ROOT_USER)
    page.run()
    assert "<h1>Accounts</h1>" in everything_on(page)
    banner = "You are looking at "
    assert banner not in everything_on(page)
    assert logged()[before:] == []
    for path in ("", "usage", "credits", "members"):
        shown = go(page, path, {"account": "acme"})
        assert banner in shown, path
        assert "Acme Robotics</b> as staff" in shown, path
        page.run()
        assert logged()[before:] == [("account.look", "acme")], path
    assert "Tokyo Translators</b> as staff" in go(page, "", {"account": "tokyo"})
    assert banner not in go(page, "accounts", {})
    assert logged()[before + 1 :] == [
        ("account.leave", "acme"),
        ("account.look", "tokyo"),
        ("account.leave", "tokyo"),
    ]
    page.switch_page(file_of("credits"))
    page.run()
    assert "<h1>Accounts</h1>" in everything_on(page)


def test_staff_with_a_role_of_their_own_in_an_account_are_at_home_there(
    sign_in: Callable[..., AppTest], store: Store
):
    set_member(store, "idle", ROOT_USER.name, "viewer")
    page = sign_in(ROOT_USER)
    page.run()
    assert "as staff" not in go(page, "", {"account": "idle"})
    assert "as staff" in go(page, "", {"account": "acme"})


def test_a_deed_of_the_staff_is_logged_with_their_name_and_the_account(
    reader: LakeReader, store: Store
):
    acme = gate_for(ROOT_USER, reader, store).enter("acme")
    acme.do(deeds.SAVE_VIEW, lambda store, name: save_view(store, name, "usage", "theirs", ""))
    newest = audit.list_events(store, limit=1)[0]
    assert (newest.actor, newest.action, newest.account_id, newest.origin) == (
        ROOT_USER.name,
        "view.save",
        "acme",
        "10.0.0.9",
    )


def test_the_gate_blanks_what_is_of_the_platform(reader: LakeReader, store: Store):
    blanked = 0
    for module in modules():
        for question in vars(module).values():
            if not isinstance(question, AccountQuestion):
                continue
            sql = question.sql(is_for_staff=False)
            for name in question.row.__dataclass_fields__:
                if is_of_the_platform(name):
                    blanked += 1
                    assert f"null as {name}" in sql
    assert blanked > 15
    assert {"provider_cost_usd", "margin_usd", "input_usd_per_mtok"} <= {
        name
        for names in (Standing.__dataclass_fields__, EventDetail.__dataclass_fields__)
        for name in names
        if is_of_the_platform(name)
    }
    costs = [
        gate_for(user, reader, store).enter("acme").ask(overview.MONTH, month=NOVEMBER)[0]
        for user in (ROOT_USER, VERA)
    ]
    assert costs[0].provider_cost_usd is not None
    assert costs[0].credits == costs[1].credits
    assert (costs[1].provider_cost_usd, costs[1].projected_cost_usd) == (None, None)


def test_budgets_of_provider_cost_are_the_staffs(reader: LakeReader, store: Store):
    now = datetime(2026, 11, 23, 15, tzinfo=UTC)
    anna, root = (gate_for(user, reader, store).enter("acme") for user in (ANNA, ROOT_USER))
    cost = next(each for each in root.budgets() if each.unit == "usd")
    assert cost.name in {each.budget.name for each in root.measures(now)}
    assert cost.name not in {each.budget.name for each in anna.measures(now)}
    root.replayed(cost, 1, now)
    with pytest.raises(Forbidden):
        anna.replayed(cost, 1, now)
    with pytest.raises(MeterhouseError, match="not told to the account's own address"):
        make_budget("acme", name="cost", limit="9", unit="usd")


def test_the_files_of_a_customer_have_no_cost(
    reader: LakeReader, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    desk = exports.ExportDesk(tmp_path)
    monkeypatch.setattr(exports, "export_desk", lambda: desk)
    heads = []
    for user in (ROOT_USER, VERA):
        gate = gate_for(user, reader, store)
        job = exports.start_export(gate, "acme", WEEK, Format.CSV, {})
        while job.state in ("waiting", "running"):
            time.sleep(0.02)
        heads.append(job.file.read_text(encoding="utf-8").partition("\n")[0].split(","))
    desk.close()
    assert set(heads[0]) - set(heads[1]) == {"provider_cost_usd", "provider_cost_status"}


def test_every_parameter_that_a_page_reads_is_tried():
    read = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in ("choose", "one", "_one"):
                named = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                read.update(named[:1])
    assert {"history", "invoice", "flag"} <= read
    harmless = {"history", "from", "to", "range", "sort", "order", "min", "max", "q", "text"}
    harmless |= {"flag", "state", "year"}
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


def test_what_the_gate_tells_of_all_accounts_is_for_the_staff(reader: LakeReader, store: Store):
    gate = gate_for(ANNA, reader, store)
    now, wanted = datetime(2026, 11, 23, tzinfo=UTC), audit.AuditFilter()
    for call in (
        lambda: gate.reached_budgets(now),
        gate.open_invoices,
        gate.audit_actions,
        lambda: gate.audit_events(wanted, 1),
        lambda: gate.audit_count(wanted),
        lambda: gate.export_audit(wanted, 1),
    ):
        with pytest.raises(Forbidden):
            call()


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
        "locale": lambda: context.locale(gate, account_id),
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
        "explained": lambda: context.explained(gate, account_id, "INV-2026-000001", 1),
    }


FOR_EVERYBODY = {"accounts", "freshness", "names", "today", "facets"}
"""Functions of ``app.context`` that take no account's id and yet are not for the staff."""


def calls_of_the_staff(gate: Gate) -> dict[str, Any]:
    """How each function of ``app.context`` that tells of all accounts is called."""
    return {
        "data_health": lambda: context.data_health(gate, NOVEMBER),
        "account_lines": lambda: context.account_lines(gate),
        "closing": lambda: context.closing(gate, NOVEMBER),
        "first_source": lambda: context.first_source(gate),
    }


def test_what_is_cached_for_one_user_is_not_told_to_another(
    home: Settings, reader: LakeReader, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("METERHOUSE_HOME", str(home.home))
    monkeypatch.setenv("METERHOUSE_DATA_PATH", home.data_path)
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
    whole = {
        name
        for name, function in vars(context).items()
        if inspect.isfunction(function)
        and function.__module__ == context.__name__
        and not name.startswith("_")
        and next(iter(inspect.signature(function).parameters), "") == "gate"
    }
    refused = calls_of_the_staff(vera)
    assert whole == takes | FOR_EVERYBODY | set(refused), "a function without a case"
    for name, call in calls_of_the_staff(staff).items():
        assert call() is not None
        with pytest.raises(Forbidden):
            refused[name]()
            raise AssertionError(name)
    assert context.overview(staff, "acme", NOVEMBER).totals.provider_cost_usd is not None
    assert context.overview(vera, "acme", NOVEMBER).totals.provider_cost_usd is None
    assert len(context.accounts(staff)) == 4
    assert [account.account_id for account in context.accounts(vera)] == ["acme"]
    assert context.accounts(gate_for(User("stranger@x.example"), reader, store)) == []
    st.cache_data.clear()


def test_a_gate_that_a_page_holds_asks_anew_who_that_is(
    home: Settings, reader: LakeReader, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("METERHOUSE_HOME", str(home.home))
    monkeypatch.setenv("METERHOUSE_DATA_PATH", home.data_path)
    monkeypatch.setattr(app.gate, "RENEW_SECONDS", -1)
    anybody: User | None = ANNA
    gate = Gate(reader, reader.publication(), lambda: store, ANNA, lambda: anybody)
    acme, now, taken = gate.enter("acme"), datetime(2026, 11, 23, 15, tzinfo=UTC), []
    budget = make_budget("acme", name="held", limit="5")

    def reads() -> dict[str, Any]:
        return {
            **calls(gate, "acme"),
            "ask": lambda: acme.ask(overview.MONTH, month=NOVEMBER),
            "start": lambda: acme.start(overview.MONTH, month=NOVEMBER).result(),
            "ask_store": lambda: acme.ask_store(lambda _, account: taken.append(account)),
            "budgets": acme.budgets,
            "measures": lambda: acme.measures(now),
            "limits": lambda: acme.limits(now),
            "live position": lambda: acme.position(now),
            "monthly_limit": lambda: acme.monthly_limit(NOVEMBER),
            "replayed": lambda: acme.replayed(budget, 1, now),
            "explained line": lambda: acme.explained("INV-2026-000001", 1),
            "do": lambda: acme.do(deeds.SAVE_VIEW, lambda _, account: taken.append(account)),
            "allow": lambda: acme.allow(deeds.READ_INVOICE),
            "enter": lambda: gate.enter("acme"),
        }

    for name in ("overview", "ask", "position", "ask_store", "replayed", "do", "allow"):
        reads()[name]()
    assert len(taken) == 2
    for somebody, refusal in (
        (User(ANNA.name, roles={"tokyo": "admin"}), UnknownAccount),
        (None, NotSignedIn),
    ):
        anybody = somebody
        for name, read in reads().items():
            with pytest.raises(refusal):
                read()
                raise AssertionError(name)
    anybody = User(ANNA.name, roles={"acme": "viewer"})
    with pytest.raises(Forbidden):
        acme.allow(deeds.READ_INVOICE)
    assert len(taken) == 2


def test_a_gate_of_the_staff_that_a_page_holds_asks_anew_who_that_is(
    reader: LakeReader, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app.gate, "RENEW_SECONDS", -1)
    anybody: User | None = ROOT_USER
    gate = Gate(reader, reader.publication(), lambda: store, ROOT_USER, lambda: anybody)
    gate.allow_staff("accounts.export", rows=1)
    newest = audit.list_events(store, limit=1)[0]
    assert (newest.action, newest.outcome, newest.details) == (
        "accounts.export",
        "allowed",
        {"rows": "1"},
    )
    no_longer = User(ROOT_USER.name, roles={"acme": "admin"})
    for somebody, refusal in ((no_longer, Forbidden), (None, NotSignedIn)):
        anybody = somebody
        for name, read in {
            **calls_of_the_staff(gate),
            "allow_staff": lambda: gate.allow_staff("accounts.export", rows=1),
            "audit": lambda: gate.export_audit(audit.AuditFilter(), 1),
            "invoices": gate.open_invoices,
        }.items():
            with pytest.raises(refusal):
                read()
                raise AssertionError(name)
    newest = audit.list_events(store, limit=1)[0]
    assert (newest.actor, newest.outcome) == (ROOT_USER.name, "refused")


def test_who_somebody_is_is_not_asked_anew_for_every_question(reader: LakeReader, store: Store):
    asked = []
    gate = Gate(reader, reader.publication(), lambda: store, ANNA, lambda: asked.append(1) or ANNA)
    for _ in range(3):
        gate.enter("acme").ask(overview.MONTH, month=NOVEMBER)
    assert asked == []


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
    assert outcomes[:3] == ["failed", "allowed", "allowed"]


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
    """A page that opened the store by itself would pass no gate. Metrics only count."""
    found = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node, "id", getattr(node, "attr", ""))
            if name in ("open_store", "shared_store", "create_engine"):
                found.add(file.relative_to(ROOT / "app").as_posix())
    assert found == {"context.py", "metrics.py", "payments.py"}


def test_gates_are_made_in_one_place_with_a_user():
    made = [
        file.name
        for file in (ROOT / "app").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Gate"
    ]
    assert made == ["context.py"]
