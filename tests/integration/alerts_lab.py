"""A year of use to judge alerts on, and a mail server on loopback."""

import ssl
import threading
import warnings
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket

import duckdb
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billing.accounts import declare_accounts
from billing.alerts.delivery import Sender
from billing.alerts.outbox import Message, deliver
from billing.alerts.running import evaluate
from billing.budgets.budget import make_budget
from billing.budgets.stored import add_budget, list_budgets
from billing.incidents import COLUMNS
from billing.schema import budget as budget_table
from billing.store import Store, open_store
from warehouse.publication import Publication
from warehouse.settings import Settings

ACCOUNTS, BUDGETS = 200, 5
LEASE = timedelta(seconds=10)
FIRST = date(2025, 1, 1)
EVALUATIONS = [
    date(2025, month, 1) + timedelta(days=ahead) for month in range(1, 13) for ahead in (14, 27)
]

_USE = """
create table use as
select 'a' || a as account_id, cast(d as date) as usage_date, 'g' || g as agent_id,
    'm' as model, 'llm' as category, 'ok' as status,
    cast(1 + (case when hash(a, g, month(d)) % 25 = 0 then 9 else 0 end) as decimal(38, 9))
        as credits,
    cast(null as decimal(38, 12)) as provider_cost_usd, 0 as unrated_events, 0 as unpriced_events
from range(?) as t(a), range(?) as u(g),
    generate_series(date '2025-01-01', date '2025-12-31', interval 1 day) as s(d);
"""
_VIEWS = """
create view marts.main.rpt_usage_daily as select * from memory.main.use where usage_date <= {day};
create view marts.main.rpt_freshness as select {moment} as as_of;
create view marts.main.rpt_account as
    select distinct account_id, date '2025-01-01' as first_usage_date from memory.main.use;
create view marts.main.rpt_credits_balance as
    select '' as account_id, 0 as balance_credits, 0 as granted_credits, 0 as runway_days limit 0;
create view marts.main.rpt_insights_projection as
    select '' as account_id, 'account' as scope, '' as part, date '2025-01-01' as month,
        0 as projected_credits, 0 as projected_cost_usd limit 0;
create view marts.main.rpt_insights_incident as
    select {incident} from (select 1) where false;
"""


class ReplayLake:
    """The reporting models of a day of the past, answered by the engine that answers the real."""

    def __init__(self, accounts: int = ACCOUNTS) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.connection.execute("set enable_progress_bar = false")
        self.connection.execute(_USE, [accounts, BUDGETS])
        self.connection.execute("attach ':memory:' as marts")
        self.at(FIRST)

    def at(self, day: date) -> None:
        for statement in _VIEWS.split(";")[:-1]:
            self.connection.execute(
                statement.replace("create view", "create or replace view").format(
                    day=f"date '{day}'",
                    incident=", ".join(
                        f"{'date ' if name.endswith('_date') else ''}'2025-01-01' as {name}"
                        for name in COLUMNS
                    ),
                    moment=f"timestamp '{day} 20:00:00'",
                )
            )

    def publication(self) -> Publication:
        return Publication(1, datetime(2025, 1, 1, tzinfo=UTC), 1, 1, 1)

    def has_table(self, table: str) -> bool:
        return True

    def head_rows(self, lake, sql):
        return self.connection.execute(sql).fetchall()

    def rows(self, sql, parameters, *, publication=None):
        return self.connection.execute(sql, dict(parameters) or None).fetchall()


def make_budgets(store: Store) -> None:
    """Five agents of each account may use 200 credits a month; every mail goes to its own box."""
    declare_accounts(store, [f"a{number}" for number in range(ACCOUNTS)])
    first = make_budget(
        "a0",
        name="b0",
        limit="200",
        scope="agent",
        part="g0",
        actual_percents=[100],
        projected_percents=[],
        recipients=["a0@customer.example"],
    )
    stored = add_budget(store, first, actor="lab")
    rows = []
    for number in range(1, ACCOUNTS * BUDGETS):
        account, agent = divmod(number, BUDGETS)
        rows.append(
            {
                **{
                    name: getattr(stored, name)
                    for name in budget_table.columns.keys()  # noqa: SIM118
                    if hasattr(stored, name)
                },
                "actual_percents": [100],
                "projected_percents": [],
                "budget_id": number + 1,
                "account_id": f"a{account}",
                "name": f"b{agent}",
                "part": f"g{agent}",
                "recipients": [f"a{account}@customer.example"],
            }
        )
    with store.writing() as connection:
        connection.execute(budget_table.insert(), rows)
    assert len(list_budgets(store)) == ACCOUNTS * BUDGETS


def expected(lake: ReplayLake) -> int:
    """How many budgets are reached in a month by its last evaluation."""
    ((count,),) = lake.connection.execute(
        "select count(*) from (select 1 from memory.main.use where day(usage_date) <= 28"
        " group by account_id, agent_id, month(usage_date) having sum(credits) >= 200)"
    ).fetchall()
    return int(count)


class Inbox:
    """Counts the mails that it accepts, by Message-ID; refuses for now while it is down."""

    def __init__(self) -> None:
        self.mails: Counter[str] = Counter()
        self.texts: list[bytes] = []
        self.is_down = False
        self.lock = threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.is_down:
            return "451 try later"
        if address.startswith("bounces@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = next(
            line
            for line in envelope.content.split(b"\r\n")
            if line.lower().startswith(b"message-id")
        )
        with self.lock:
            self.mails[name.decode()] += 1
            self.texts.append(envelope.content)
        return "250 OK"


@contextmanager
def mail_server(inbox: Inbox, **options):
    """The port of a real SMTP server on loopback; ``options`` are aiosmtpd's."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@contextmanager
def encrypted_mail_server(inbox: Inbox, certificate: Path, security: str, login: tuple[str, str]):
    """The same, encrypted from the first byte or by STARTTLS; only who logs in may send."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def authenticate(server, session, envelope, mechanism, given):
        is_known = (given.login.decode(), given.password.decode()) == login
        return AuthResult(success=is_known, handled=False)

    options = {"authenticator": authenticate, "auth_required": True}
    if security == "tls":
        options |= {"ssl_context": context, "auth_require_tls": False}
    else:
        options |= {"tls_context": context, "require_starttls": True}
    with warnings.catch_warnings():
        # A login that does not ask for STARTTLS: the connection is encrypted already.
        warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
        with mail_server(inbox, **options) as port:
            yield port


def make_certificate(folder: Path) -> Path:
    """A certificate of localhost, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "localhost.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def replay(settings: Settings, folder: Path, steps: Connection) -> None:
    """Go through the evaluations from the one that was under way, sending after each.

    Says each step into ``steps``: an evaluation that begins or ends, a mail before it is sent and
    once it is accepted, so that a test can kill it there.
    """
    lake, mark = ReplayLake(), folder / "reached"
    try:
        start = int(mark.read_text())
    except FileNotFoundError:
        start = 0
    with open_store(settings) as store, Sender(settings, store) as sender:

        def send(message: Message) -> None:
            steps.send_bytes(b"s")
            sender(message)
            steps.send_bytes(b"a")

        for number in range(start, len(EVALUATIONS)):
            day = EVALUATIONS[number]
            lake.at(day)
            steps.send_bytes(b"e")
            evaluate(settings, store, lake, datetime(day.year, day.month, day.day, 21, tzinfo=UTC))
            steps.send_bytes(b"d")
            deliver(store, send, lease=LEASE)
            part = folder / f"reached.{threading.get_native_id()}"
            part.write_text(str(number + 1))
            part.replace(mark)
        deliver(store, send, lease=LEASE)
