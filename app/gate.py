"""The gate: the one place that every query of the app passes.

A question about an account names a model and the columns of its rows, never an account: the
gate adds ``account_id = $account_id`` itself, bound to the account that was entered. So a page
cannot forget the filter, nor ask past it. Settled figures come from reporting models at the
published snapshot; what is read at the head says so in its question. Values are always bound.

What is the platform's own business (provider cost, and what follows from it) is blank in every
answer about an account unless the staff asks: a page cannot show by mistake what it never got.

The gate also knows who asks: only accounts where the user has a role are entered, and what changes
something or takes a document away is a deed (``app/deeds.py``), refused unless the role is enough
and logged either way. It can be held for as long as a page is open, and asks who that is anew.
"""

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from app import formats
from app.lake import LakeReader, State
from app.users import LOCAL, Deed, Forbidden, NotSignedIn, User
from billing import audit
from billing.accounts import Account as StoredAccount
from billing.accounts import get_account, list_accounts
from billing.alerts.judging import midnight
from billing.alerts.running import Measure, measure
from billing.alerts.simulation import SimulatedAlert, past_months, simulate, use_by_day
from billing.budgets.budget import Budget
from billing.budgets.limits import Limit, limits_of
from billing.budgets.stored import list_budgets, smallest_limit
from billing.invoices.explain import Explained, explain_line
from billing.invoices.issued import get_issued
from billing.invoices.parties import list_profiles, profile_at
from billing.invoices.payments import OpenInvoice, open_invoices
from billing.position import CreditPosition, credit_position
from billing.store import ReadOnlyStore, Store, acting_as
from billing.validation import next_month
from warehouse.errors import MeterhouseError
from warehouse.locks import Lake
from warehouse.publication import Publication
from warehouse.settings import Settings

Row = TypeVar("Row")
Answer = TypeVar("Answer")

ASKED_TOGETHER = 8
"""Questions of all sessions that are answered side by side; each uses all cores where it can."""

RENEW_SECONDS = 15
"""How old what a gate knows of its user may be: their roles, and whether they are signed in."""

_ASKING = ThreadPoolExecutor(ASKED_TOGETHER, thread_name_prefix="asking")
_REPORTING_MODEL = re.compile(r"rpt_[a-z0-9_]+")
_HEAD_TABLE = re.compile(r"raw\.main\.[a-z_]+")


class UnknownAccount(Exception):
    """The account does not exist, or may not be seen; which of the two is not told."""


@dataclass(frozen=True)
class Account:
    """An account as the chooser shows it; dates are the account's days, None without usage."""

    account_id: str
    name: str
    time_zone: str
    currency: str
    plan: str
    first_usage_date: Any
    last_usage_date: Any
    last_month: Any


@dataclass(frozen=True)
class AccountQuestion(Generic[Row]):
    """What can be asked about one account.

    ``row`` is a dataclass: each field is a column of the model, or the expression that
    ``columns`` gives for it. ``where`` narrows further and names its parameters ``$name``.
    ``group_by`` gathers what is left, ``limit`` and ``offset`` cut a piece out of it.
    At the head, ``model`` is a table of the raw lake.
    """

    model: str
    row: type[Row]
    where: str = ""
    group_by: str = ""
    order: str = ""
    limit: int | None = None
    offset: int = 0
    state: State = "published"
    columns: Mapping[str, str] = field(default_factory=dict)

    def sql(self, *, is_for_staff: bool = True) -> str:
        """The query, filtered by ``$account_id``; figures of the platform are null for others."""
        pattern = _REPORTING_MODEL if self.state == "published" else _HEAD_TABLE
        if not pattern.fullmatch(self.model):
            raise ValueError(f"{self.model} may not be read at the {self.state} state")
        table = self.model if self.state == "head" else f"marts.main.{self.model}"
        columns = self.columns if is_for_staff else {**self.columns, **_withheld(self.row)}
        text = f"select {_columns(self.row, columns)} from {table}"
        text += " where account_id = $account_id"
        if self.where:
            text += f" and ({self.where})"
        if self.group_by:
            text += f" group by {self.group_by}"
        if self.order:
            text += f" order by {self.order}"
        if self.limit is not None:
            text += f" limit {int(self.limit)} offset {int(self.offset)}"
        return text


@dataclass(frozen=True)
class StaffQuestion(Generic[Row]):
    """What the platform's staff may ask across accounts: a whole query over ``{columns}``."""

    row: type[Row]
    query: str
    state: State = "published"

    def sql(self) -> str:
        """The query with the columns of ``row`` in place."""
        return self.query.replace("{columns}", _columns(self.row, {}))


@dataclass(frozen=True)
class SharedQuestion(Generic[Row]):
    """What everyone may ask, because no row is of an account: names, how fresh figures are."""

    row: type[Row]
    model: str
    order: str = ""
    state: State = "published"

    def sql(self) -> str:
        """The query; only models of :data:`SHARED_MODELS` can be read by it."""
        if self.model not in SHARED_MODELS:
            raise ValueError(f"{self.model} is not for everyone")
        text = f"select {_columns(self.row, {})} from marts.main.{self.model}"
        return f"{text} order by {self.order}" if self.order else text


_OF_THE_PLATFORM = re.compile(r"cost|usd|margin|^price_")


def is_of_the_platform(column: str) -> bool:
    """Whether a column, by its name, tells what usage costs the platform: its own business."""
    return _OF_THE_PLATFORM.search(column) is not None


SHARED_MODELS = ("rpt_freshness", "rpt_usage_category", "rpt_usage_model")
"""Reporting models whose rows are of no account."""


_ACCOUNTS = StaffQuestion(
    Account, "select {columns} from marts.main.rpt_account order by lower(name), account_id"
)
_ACCOUNT = StaffQuestion(
    Account, "select {columns} from marts.main.rpt_account where account_id = $account_id"
)


class AccountReader:
    """Reads one account; it was checked when it was entered, and cannot be exchanged."""

    def __init__(self, gate: "Gate", account: Account) -> None:
        """Made by :meth:`Gate.enter` only."""
        self._gate = gate
        self.account = account

    def ask(self, question: AccountQuestion[Row], **parameters: Any) -> list[Row]:
        """The rows of this account that answer the question."""
        if "account_id" in parameters:
            raise ValueError("the account is bound by the gate and cannot be a parameter")
        self._gate.require(self.account.account_id)
        return self._gate.rows(question, {**parameters, "account_id": self.account.account_id})

    def start(self, question: AccountQuestion[Row], **parameters: Any) -> Future[list[Row]]:
        """:meth:`ask`, answered beside what else was started: none waits for another."""
        return _ASKING.submit(lambda: self.ask(question, **parameters))

    def ask_store(self, question: Callable[[Store, str], Answer]) -> Answer:
        """What the operational store answers about this account, whose id ``question`` gets.

        The store cannot be written by it; :meth:`do` is for that.
        """
        self._gate.require(self.account.account_id)
        return question(ReadOnlyStore(self._gate.store().engine), self.account.account_id)

    def may(self, deed: Deed) -> bool:
        """Whether the user may do something in this account: what they may not is not offered."""
        return self._gate.user.may(deed, self.account.account_id)

    def do(self, deed: Deed, act: Callable[[Store, str], Answer], **details: Any) -> Answer:
        """Do something in this account with the store, in the user's name; ``details`` are logged.

        They must hold no secret. Raises Forbidden where the user's role is not enough.
        """
        account_id = self.account.account_id
        return self._gate.do(deed, account_id, lambda store: act(store, account_id), **details)

    def allow(self, deed: Deed, **details: Any) -> None:
        """Log that something is taken away that needs no store. Raises Forbidden as :meth:`do`."""
        self._gate.allow(deed, self.account.account_id, **details)

    def position(self, now: datetime) -> CreditPosition:
        """Its credits at ``now``: settled usage at the gate's publication, and what is above it.

        Raises MeterhouseError for an account that is not in the operational store.
        """
        lake = self._gate.lake()
        return self.ask_store(lambda store, account: credit_position(lake, store, account, now))

    def locale(self) -> formats.Locale:
        """The customs by which its figures are written: those of who receives its invoices."""

        def ask(store: Store, account: str) -> formats.Locale:
            today = datetime.now(ZoneInfo(self.account.time_zone)).date()
            profile = profile_at(list_profiles(store, account), today)
            if profile is None:
                return formats.ENGLISH
            return formats.locale_of(profile.language, profile.country)

        return self.ask_store(ask)

    @property
    def sees_cost(self) -> bool:
        """Whether the user is told what usage costs the platform: the staff only."""
        return self._gate.user.is_staff

    def budgets(self) -> list[Budget]:
        """Its budgets; those of provider cost are the staff's."""
        found = self.ask_store(list_budgets)
        return [each for each in found if self.sees_cost or each.unit == "credits"]

    def measures(self, now: datetime) -> list[Measure]:
        """Its budgets with what they used in their open periods, settled."""
        budgets = self.budgets()

        def ask(store: Store, account: str) -> list[Measure]:
            known = {account: get_account(store, account, now=now)}
            return measure(self._gate.lake(), self._gate.publication, known, budgets, now)

        return self.ask_store(ask)

    def monthly_limit(self, month: date) -> Decimal | None:
        """The smallest monthly budget of credits of the whole account at the end of a month.

        None where there is none, or no store to ask.
        """
        if not self._gate.has_store():
            return None
        end = midnight(next_month(month), self.account.time_zone)
        return self.ask_store(lambda store, account: smallest_limit(store, account, end))

    def explained(self, number: str, line: int) -> Explained:
        """What a line of one of its invoices is made from.

        Raises MeterhouseError where it has no such invoice or line.
        """
        lake = self._gate.lake()

        def ask(store: Store, account: str) -> Explained:
            return explain_line(lake, store, get_issued(store, number, account), line)

        return self.ask_store(ask)

    def replayed(self, budget: Budget, months: int, now: datetime) -> list[SimulatedAlert]:
        """The alerts that ``budget`` would have sent over past months.

        Raises Forbidden for a budget of provider cost unless the user is told of that.
        """
        if budget.unit != "credits" and not self.sees_cost:
            raise Forbidden("budgets of provider cost are for admins of the platform")
        if budget.account_id != self.account.account_id:
            raise ValueError("the budget is of another account")
        self._gate.require(self.account.account_id)
        if self._gate.publication is None:
            return []
        used = use_by_day(self._gate.lake(), self._gate.publication, budget)
        first, until = past_months(months, self.account.time_zone, now)
        return simulate(budget, used, first, until, self.account.time_zone)

    def limits(self, now: datetime) -> list[Limit]:
        """Its enforced budgets at ``now``, over settled and pending usage."""
        lake = self._gate.lake()
        return self.ask_store(lambda store, account: limits_of(lake, store, account, now))


@dataclass(frozen=True)
class LakeAt:
    """The lakes as ``billing`` reads them, at one publication from the first query to the last."""

    reader: LakeReader
    at: Publication | None

    def publication(self) -> Publication | None:
        """The publication that was chosen."""
        return self.at

    def has_table(self, table: str) -> bool:
        """Whether ``catalog.schema.table`` exists at the head."""
        return self.reader.has_table(table)

    def head_rows(self, lake: Lake, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query at the head that reads nothing but ``lake``."""
        return self.reader.head_rows(lake, sql)

    def rows(
        self, sql: str, parameters: Mapping[str, Any], *, publication: Publication | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows of a query with named parameters, at ``publication`` or at the head."""
        if publication and all(isinstance(value, str) for value in parameters.values()):
            return self.reader.settled_rows(sql, parameters, publication)
        return self.reader.rows(sql, parameters, publication=publication)


class Gate:
    """Answers questions at one publication, and at the head where a question says so."""

    def __init__(
        self,
        reader: LakeReader,
        publication: Publication | None,
        store: Callable[[], Store] | None = None,
        user: User = LOCAL,
        renew: Callable[[], User | None] | None = None,
    ) -> None:
        """Without a ``publication`` only the head can be read, without a ``store`` only lakes.

        Deeds are possible with a store only. ``renew`` tells the user as they are now, None once
        they are signed in no more. The app's own gates come from ``app.context``.
        """
        self._reader = reader
        self.publication = publication
        self._store = store
        self._user = user
        self._renew = renew
        self._renewed_at = time.monotonic()

    @property
    def user(self) -> User:
        """Who asks, as of at most :data:`RENEW_SECONDS` ago.

        Raises NotSignedIn once their sign-in has ended.
        """
        if self._renew and time.monotonic() - self._renewed_at > RENEW_SECONDS:
            user = self._renew()
            if user is None:
                raise NotSignedIn
            self._user, self._renewed_at = user, time.monotonic()
        return self._user

    def lake(self) -> "LakeAt":
        """The lakes at this publication, for figures that ``billing`` works out of an account."""
        return LakeAt(self._reader, self.publication)

    def store(self) -> Store:
        """The operational store. Raises MeterhouseError where there is none to ask."""
        if self._store is None:
            raise MeterhouseError("there is no operational store here yet")
        return self._store()

    def has_store(self) -> bool:
        """Whether there is an operational store."""
        return self._store is not None

    @property
    def settings(self) -> Settings:
        """The settings that say which lake is read."""
        return self._reader.settings

    def accounts(self) -> list[Account]:
        """The published accounts that the user may see."""
        return [each for each in self.rows(_ACCOUNTS, {}) if self.user.sees(each.account_id)]

    def require(self, account_id: str) -> None:
        """Raises UnknownAccount unless the user may see the account, whether or not it exists."""
        if self.user.sees(account_id):
            return
        self.log("account.enter", "refused", account_id)
        raise UnknownAccount(account_id)

    def enter(self, account_id: str) -> AccountReader:
        """The reader of one account. Raises UnknownAccount unless the user may see it."""
        self.require(account_id)
        if not (account_id.isascii() and account_id.isprintable()):
            raise UnknownAccount(account_id)  # no id has such letters, and NUL ends a query
        if self.publication is not None:
            for values in self._reader.settled_rows(
                _ACCOUNT.sql(), {"account_id": account_id}, self.publication
            ):
                return AccountReader(self, Account(*values))
        if self._store is not None:
            try:
                return AccountReader(self, _declared(get_account(self._store(), account_id)))
            except MeterhouseError:
                raise UnknownAccount(account_id) from None
        raise UnknownAccount(account_id)

    def declared_accounts(self) -> list[Account]:
        """The accounts of the operational store that the user may see, unpublished ones as well."""
        if self._store is None:
            return []
        return [
            _declared(account)
            for account in list_accounts(self._store())
            if self.user.sees(account.account_id)
        ]

    def do(
        self, deed: Deed, account_id: str, act: Callable[[Store], Answer], **details: Any
    ) -> Answer:
        """Do something in an account; :meth:`AccountReader.do` is the way here.

        The log gets its row before anything is done, so nothing is done without one, and a second
        one when it then fails. Raises Forbidden where the user's role is not enough.
        """
        store = self.store()
        self.allow(deed, account_id, **details)
        try:
            with acting_as(self.user.name):
                return act(store)
        except MeterhouseError as error:
            self.log(deed.action, "failed", account_id, {**details, "error": error})
            raise

    def reached_budgets(self, now: datetime) -> list[Budget]:
        """Budgets of all accounts whose limit is reached in the period that runs. For the staff."""
        self.require_staff("budgets")
        store = self.store()
        known = {account.account_id: account for account in list_accounts(store, now=now)}
        running = {
            each.budget.budget_id: each  # of two open periods the one that runs comes last
            for each in measure(self.lake(), self.publication, known, list_budgets(store), now)
        }
        return [
            each.budget
            for each in running.values()
            if each.use is not None and each.use.amount >= each.budget.limit_amount
        ]

    def open_invoices(self) -> list[OpenInvoice]:
        """Invoices of every account that are not paid in full. For the staff."""
        self.require_staff("invoices")
        return open_invoices(self.store())

    def audit_events(
        self, wanted: audit.AuditFilter, limit: int, offset: int = 0
    ) -> list[audit.AuditEvent]:
        """Rows of the audit log, the newest first. For the staff."""
        self.require_staff("audit log")
        return audit.list_events(self.store(), wanted, limit=limit, offset=offset)

    def audit_count(self, wanted: audit.AuditFilter) -> int:
        """How many rows of the audit log are as filtered. For the staff."""
        self.require_staff("audit log")
        return audit.count_events(self.store(), wanted)

    def audit_actions(self) -> list[str]:
        """Every action in the audit log. For the staff."""
        self.require_staff("audit log")
        return audit.list_actions(self.store())

    def export_audit(self, wanted: audit.AuditFilter, limit: int) -> list[audit.AuditEvent]:
        """Rows of the audit log to take away, which is logged. For the staff."""
        found = self.audit_events(wanted, limit)
        self.allow_staff("audit.export", rows=len(found))
        return found

    def allow_staff(self, action: str, **details: Any) -> None:
        """Log that the staff takes something away that is of no account. Raises Forbidden."""
        self.require_staff(action)
        self.log(action, "allowed", details=details)

    def allow(self, deed: Deed, account_id: str, **details: Any) -> None:
        """Log a deed that needs no store; :meth:`AccountReader.allow` is the way here.

        Raises Forbidden where the user's role is not enough.
        """
        self.require(account_id)
        if self.user.may(deed, account_id):
            self.log(deed.action, "allowed", account_id, details)
            return
        self.log(deed.action, "refused", account_id, details)
        raise Forbidden(
            f"this needs the role {deed.role}, and you are {self.user.role_in(account_id)} of the "
            "account; one of its admins can change that"
        )

    def log(
        self,
        action: str,
        outcome: str,
        account_id: str | None = None,
        details: Mapping[str, Any] | None = None,
        reference: str | None = None,
    ) -> None:
        """Write a row of the audit log about the user, where there is a store."""
        if self._store is not None:
            audit.record(
                self._store(),
                self._user.name,
                action,
                outcome=outcome,
                account_id=account_id,
                details=details,
                origin=self._user.origin,
                reference=reference,
            )

    def has_raw(self) -> bool:
        """Whether anything was ever loaded."""
        return self._reader.has_lake("raw")

    def has_checks(self) -> bool:
        """Whether any refresh has recorded check results."""
        return self._reader.has_table("marts.meta.check_result")

    def ask_staff(self, question: StaffQuestion[Row], **parameters: Any) -> list[Row]:
        """The rows that answer a question of the staff. Raises Forbidden for everyone else."""
        self.require_staff(question.row.__name__)
        return self.rows(question, parameters)

    def ask_shared(self, question: SharedQuestion[Row]) -> list[Row]:
        """The rows that answer a question that everyone may ask."""
        return self.rows(question, {})

    def require_staff(self, what: str) -> None:
        """Raises Forbidden unless the user is an admin of the platform."""
        if not self.user.is_staff:
            self.log("staff.read", "refused", details={"what": what})
            raise Forbidden("this is for admins of the platform")

    def rows(
        self,
        question: AccountQuestion[Row] | StaffQuestion[Row] | SharedQuestion[Row],
        parameters: Mapping[str, Any],
    ) -> list[Row]:
        """Run a question where it belongs; the readers above are the way here."""
        if question.state == "published" and self.publication is None:
            raise ValueError("nothing is published yet")
        found = self._reader.rows(
            question.sql(is_for_staff=self.user.is_staff)
            if isinstance(question, AccountQuestion)
            else question.sql(),
            parameters,
            publication=self.publication if question.state == "published" else None,
        )
        return [question.row(*values) for values in found]


def _declared(stored: StoredAccount) -> Account:
    """An account of the store, of whose usage nothing is known here."""
    term = stored.current
    return Account(
        stored.account_id, term.name, term.time_zone, term.currency, term.plan, None, None, None
    )


def _withheld(row: type) -> dict[str, str]:
    """The expressions that blank the columns of the platform in a row of an account."""
    return {item.name: "null" for item in fields(row) if is_of_the_platform(item.name)}


def _columns(row: type, expressions: Mapping[str, str]) -> str:
    return ", ".join(
        f"{expressions[item.name]} as {item.name}" if item.name in expressions else item.name
        for item in fields(row)
    )
