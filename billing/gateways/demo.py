"""The demo gateway: a checkout of our own where no money moves.

It stands in for Stripe where no keys are given, and plays its part in full: sessions that live
on its side (a small database of its own under the home), a page to pay on, webhooks signed with a
secret of this home. The operational store never knows more than Stripe would tell it.
"""

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from billing.gateways.protocol import (
    ForgedWebhook,
    GatewayError,
    Notice,
    Order,
    Reversal,
    Session,
    UnknownSession,
)
from billing.gateways.signature import sign, verify
from warehouse.settings import Settings

OPEN_HOURS = 24
"""How long a checkout can be paid."""

CHECKOUT_PATH = "/demo/checkout"
"""Where the app's server shows the checkout page."""

_TABLES = """
create table if not exists session (
    session_id text primary key,
    purchase_id text not null unique,
    amount_minor integer not null,
    currency text not null,
    description text not null,
    return_url text not null,
    opened_at text not null,
    is_paid integer not null default 0,
    is_over integer not null default 0
);
create table if not exists reversal (
    reversal_id text primary key,
    idempotency_key text not null unique,
    session_id text not null references session,
    kind text not null,
    amount_minor integer not null,
    occurred_at text not null,
    detail text not null
);
"""


class DemoGateway:
    """The demo gateway of one home."""

    name = "demo"
    signature_header = "Meterhouse-Demo-Signature"

    def __init__(self, settings: Settings) -> None:
        """Touches nothing yet."""
        self._home = settings.home
        self._address = settings.public_url

    def create_session(self, order: Order) -> Session:
        """Open a checkout; one for each purchase."""
        with self._database() as database:
            database.execute(
                "insert into session (session_id, purchase_id, amount_minor, currency, description,"
                " return_url, opened_at) values (?, ?, ?, ?, ?, ?, ?)"
                " on conflict (purchase_id) do nothing",
                [
                    f"demo_{secrets.token_urlsafe(24)}",
                    order.purchase_id,
                    order.amount_minor,
                    order.currency,
                    order.description,
                    order.return_url,
                    datetime.now(UTC).isoformat(),
                ],
            )
            row = database.execute(
                "select session_id from session where purchase_id = ?", [order.purchase_id]
            ).fetchone()
        return self.retrieve_session(row["session_id"])

    def retrieve_session(self, session_id: str) -> Session:
        """A checkout as it is now."""
        row = self._row(session_id)
        is_over = bool(row["is_over"]) or self._is_old(row)
        is_paid = bool(row["is_paid"])
        is_payable = not is_paid and not is_over
        return Session(
            session_id=session_id,
            purchase_id=row["purchase_id"],
            is_paid=is_paid,
            is_over=is_over and not is_paid,
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            url=f"{self._address}{CHECKOUT_PATH}/{session_id}" if is_payable else None,
        )

    def expire_session(self, session_id: str) -> Session:
        """Close a checkout unless it is paid."""
        with self._database() as database:
            database.execute(
                "update session set is_over = 1 where session_id = ? and not is_paid", [session_id]
            )
        return self.retrieve_session(session_id)

    def refund(
        self, session_id: str, amount_minor: int, currency: str, key: str, reason: str
    ) -> Reversal:
        """Note a refund; no more than was paid goes back."""
        return self._reverse(session_id, "refunded", amount_minor, key, reason)

    def charge_back(self, session_id: str, reason: str) -> Reversal:
        """Play the customer's bank: take back what is left of the payment."""
        left = self._row(session_id)["amount_minor"] - self._reversed(session_id)
        return self._reverse(session_id, "charged_back", left, f"dispute:{session_id}", reason)

    def reversals_since(self, moment: datetime) -> list[Reversal]:
        """All refunds and chargebacks from ``moment`` on."""
        if not self._file.exists():
            return []
        with self._database() as database:
            rows = database.execute(
                "select reversal_id from reversal where occurred_at >= ? order by occurred_at",
                [moment.astimezone(UTC).isoformat()],
            ).fetchall()
        return [self._reversal(row["reversal_id"]) for row in rows]

    def read_notice(self, body: bytes, signature: str | None, now: datetime) -> Notice:
        """Verify with the home's secret, then read."""
        verify(body, signature, self.secret, now)
        try:
            event = json.loads(body)
            reversal = event.get("reversal_id")
            return Notice(
                event_id=str(event["id"]),
                kind=str(event["type"]),
                session_id=event.get("session_id"),
                reversal=self._reversal(reversal) if reversal else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, GatewayError) as error:
            raise ForgedWebhook("the body is no event") from error

    def pay(self, session_id: str) -> tuple[bytes, str] | None:
        """Play the customer who pays; the webhook's body and signature, None if it is too late."""
        if self._is_old(self._row(session_id)):
            return None
        with self._database() as database:
            paid = database.execute(
                "update session set is_paid = 1 where session_id = ? and not is_over"
                " returning session_id",
                [session_id],
            ).fetchone()
        if paid is None:
            return None
        return self.notice("checkout.session.completed", session_id=session_id)

    def notice(self, kind: str, **about: str) -> tuple[bytes, str]:
        """A webhook of this gateway: its body and its signature as of now."""
        event = {"id": f"evt_demo_{secrets.token_hex(12)}", "type": kind, **about}
        body = json.dumps(event).encode()
        return body, sign(body, self.secret, datetime.now(UTC))

    def order(self, session_id: str) -> Order:
        """What a checkout is about. Raises UnknownSession."""
        row = self._row(session_id)
        return Order(
            purchase_id=row["purchase_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            description=row["description"],
            return_url=row["return_url"],
            email=None,
        )

    def token(self, session_id: str) -> str:
        """What a form of this checkout's page carries, so that no other page can send it."""
        return hmac.new(self.secret.encode(), session_id.encode(), hashlib.sha256).hexdigest()

    def is_token(self, session_id: str, given: str) -> bool:
        """Whether ``given`` is the form's token."""
        return hmac.compare_digest(self.token(session_id).encode(), given.encode())

    @cached_property
    def secret(self) -> str:
        """The secret of this home, made at its first use and readable by its owner alone."""
        file = self._home / "demo-gateway.secret"
        self._home.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):
            if not file.exists():
                new = file.with_suffix(".new")
                new.touch(mode=0o600)
                new.write_text(f"whsec_demo_{secrets.token_hex(24)}\n", encoding="ascii")
                new.rename(file)
        return file.read_text(encoding="ascii").strip()

    @property
    def _file(self) -> Path:
        return self._home / "demo-gateway.sqlite"

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """A transaction of its own database, made at its first use."""
        self._home.mkdir(parents=True, exist_ok=True)
        try:
            database = sqlite3.connect(self._file, timeout=30, isolation_level=None)
            try:
                database.row_factory = sqlite3.Row
                if not database.execute(
                    "select 1 from sqlite_master where name = 'reversal'"
                ).fetchone():
                    with FileLock(f"{self._file}.lock"):
                        database.execute("pragma journal_mode = wal")
                        database.executescript(_TABLES)
                database.execute("begin immediate")
                yield database
                database.execute("commit")
            finally:
                database.close()
        except sqlite3.Error as error:
            raise GatewayError(
                f"the demo gateway's {self._file} cannot be used: {error}"
            ) from error

    def _row(self, session_id: str) -> sqlite3.Row:
        row: sqlite3.Row | None = None
        if self._file.exists():
            with self._database() as database:
                row = database.execute(
                    "select * from session where session_id = ?", [session_id]
                ).fetchone()
        if row is None:
            raise UnknownSession("the demo gateway has no such checkout")
        return row

    def _is_old(self, row: sqlite3.Row) -> bool:
        opened = datetime.fromisoformat(row["opened_at"])
        return not row["is_paid"] and datetime.now(UTC) - opened > timedelta(hours=OPEN_HOURS)

    def _reversed(self, session_id: str) -> int:
        with self._database() as database:
            row = database.execute(
                "select coalesce(sum(amount_minor), 0) as total from reversal where session_id = ?",
                [session_id],
            ).fetchone()
        return int(row["total"])

    def _reverse(
        self,
        session_id: str,
        kind: Literal["refunded", "charged_back"],
        amount_minor: int,
        key: str,
        reason: str,
    ) -> Reversal:
        session = self._row(session_id)
        with self._database() as database:
            known = database.execute(
                "select reversal_id from reversal where idempotency_key = ?", [key]
            ).fetchone()
            if known is None:
                before = database.execute(
                    "select coalesce(sum(amount_minor), 0) as total from reversal"
                    " where session_id = ?",
                    [session_id],
                ).fetchone()["total"]
                left = session["amount_minor"] - before if session["is_paid"] else 0
                if not 0 < amount_minor <= left:
                    raise GatewayError(
                        f"the demo gateway cannot pay back {amount_minor}: {left} of the payment "
                        "are left"
                    )
                known = database.execute(
                    "insert into reversal values (?, ?, ?, ?, ?, ?, ?) returning reversal_id",
                    [
                        f"demo_{kind}_{secrets.token_hex(12)}",
                        key,
                        session_id,
                        kind,
                        amount_minor,
                        datetime.now(UTC).isoformat(),
                        reason,
                    ],
                ).fetchone()
        return self._reversal(known["reversal_id"])

    def _reversal(self, reversal_id: str) -> Reversal:
        with self._database() as database:
            row: Any = database.execute(
                "select reversal.*, session.purchase_id, session.currency from reversal"
                " inner join session using (session_id) where reversal_id = ?",
                [reversal_id],
            ).fetchone()
        if row is None:
            raise UnknownSession("the demo gateway has no such refund")
        return Reversal(
            kind=row["kind"],
            reversal_id=row["reversal_id"],
            purchase_id=row["purchase_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            occurred_at=datetime.fromisoformat(row["occurred_at"]),
            detail=row["detail"],
        )
