"""The gate: the one place that every query of the app passes.

A question about an account names a model and the columns of its rows, never an account: the
gate adds ``account_id = $account_id`` itself, bound to the account that was entered. So a page
cannot forget the filter, nor ask past it. Settled figures come from reporting models at the
published snapshot; what is read at the head says so in its question. Values are always bound.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from app.lake import LakeReader, State
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
from billing.position import CreditPosition, credit_position
from billing.store import Store
from billing.validation import next_month
from warehouse.errors import MeterhouseError
from warehouse.locks import Lake
from warehouse.publication import Publication
from warehouse.settings import Settings

Row = TypeVar("Row")
Answer = TypeVar("Answer")

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

    def sql(self) -> str:
        """The query, filtered by ``$account_id``."""
        pattern = _REPORTING_MODEL if self.state == "published" else _HEAD_TABLE
        if not pattern.fullmatch(self.model):
            raise ValueError(f"{self.model} may not be read at the {self.state} state")
        table = self.model if self.state == "head" else f"marts.main.{self.model}"
        text = f"select {_columns(self.row, self.columns)} from {table}"
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
        return self._gate.rows(question, {**parameters, "account_id": self.account.account_id})

    def ask_store(self, question: Callable[[Store, str], Answer]) -> Answer:
        """What the operational store answers about this account, whose id ``question`` gets."""
        return question(self._gate.store(), self.account.account_id)

    def position(self, now: datetime) -> CreditPosition:
        """Its credits at ``now``: settled usage at the gate's publication, and what is above it.

        Raises MeterhouseError for an account that is not in the operational store.
        """
        lake = self._gate.lake()
        return self.ask_store(lambda store, account: credit_position(lake, store, account, now))

    def measures(self, now: datetime) -> list[Measure]:
        """Its budgets with what they used in their open periods, settled."""

        def ask(store: Store, account: str) -> list[Measure]:
            known = {account: get_account(store, account, now=now)}
            budgets = list_budgets(store, account)
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
        """The alerts that ``budget`` would have sent over past months."""
        if budget.account_id != self.account.account_id:
            raise ValueError("the budget is of another account")
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
        return self.reader.rows(sql, parameters, publication=publication)


class Gate:
    """Answers questions at one publication, and at the head where a question says so."""

    def __init__(
        self,
        reader: LakeReader,
        publication: Publication | None,
        store: Callable[[], Store] | None = None,
    ) -> None:
        """Without a ``publication`` only the head can be read, without a ``store`` only lakes."""
        self._reader = reader
        self.publication = publication
        self._store = store

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
        """The accounts that the present user may see: all of them for the one local user."""
        return self.ask_staff(_ACCOUNTS)

    def enter(self, account_id: str) -> AccountReader:
        """The reader of one account. Raises UnknownAccount unless the user may see it."""
        if not (account_id.isascii() and account_id.isprintable()):
            raise UnknownAccount(account_id)  # no id has such letters, and NUL ends a query
        if self.publication is not None:
            for account in self.ask_staff(_ACCOUNT, account_id=account_id):
                return AccountReader(self, account)
        if self._store is not None:
            try:
                return AccountReader(self, _declared(get_account(self._store(), account_id)))
            except MeterhouseError:
                raise UnknownAccount(account_id) from None
        raise UnknownAccount(account_id)

    def declared_accounts(self) -> list[Account]:
        """Every account of the operational store; those that are not published yet as well."""
        return (
            [_declared(account) for account in list_accounts(self._store())] if self._store else []
        )

    def has_raw(self) -> bool:
        """Whether anything was ever loaded."""
        return self._reader.has_lake("raw")

    def has_checks(self) -> bool:
        """Whether any refresh has recorded check results."""
        return self._reader.has_table("marts.meta.check_result")

    def ask_staff(self, question: StaffQuestion[Row], **parameters: Any) -> list[Row]:
        """The rows that answer a question of the staff."""
        return self.rows(question, parameters)

    def rows(
        self,
        question: AccountQuestion[Row] | StaffQuestion[Row],
        parameters: Mapping[str, Any],
    ) -> list[Row]:
        """Run a question where it belongs; the readers above are the way here."""
        if question.state == "published" and self.publication is None:
            raise ValueError("nothing is published yet")
        found = self._reader.rows(
            question.sql(),
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


def _columns(row: type, expressions: Mapping[str, str]) -> str:
    return ", ".join(
        f"{expressions[item.name]} as {item.name}" if item.name in expressions else item.name
        for item in fields(row)
    )
