"""A close that is killed again and again and resumed ends as one that was not: each invoice once,
mailed once but by a kill between the mail server's acceptance and our record.
"""

import multiprocessing
import os
import random
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from billing.invoice_schema import invoice, invoice_document, invoice_line
from billing.invoices.issued import list_issued
from billing.schema import credit_grant, outbox_event, outbox_message
from billing.store import Store, open_store
from tests.integration import invoice_lab as lab
from tests.integration.alerts_lab import Inbox, mail_server
from tests.integration.small_lake import settings_at
from warehouse.settings import Settings

ACCOUNTS = 300
KILLS = int(os.environ.get("METERHOUSE_CRASH_KILLS", "20"))
FORKS = multiprocessing.get_context("forkserver")
PATIENCE = 600.0


class Close:
    """A process that closes, renders and mails, and goes only as far as it is let."""

    def __init__(self, settings: Settings) -> None:
        self.steps, theirs = FORKS.Pipe()
        self.process = FORKS.Process(target=lab.close_by_steps, args=(settings, theirs))
        self.process.start()
        theirs.close()

    def kill_after(self, steps: int, seconds: float) -> None:
        """Kill it on its way from the last of so many steps to the one after the next."""
        for _ in range(steps + 1):
            self.steps.send_bytes(b"x")
        for _ in range(steps):
            self._heard()
        time.sleep(seconds)
        self.process.kill()
        self.process.join(PATIENCE)
        self.steps.close()

    def run_to_its_end(self) -> None:
        try:
            while True:
                self._heard()
                self.steps.send_bytes(b"x")
        except (EOFError, BrokenPipeError):
            self.process.join(PATIENCE)
        assert self.process.exitcode == 0

    def _heard(self) -> None:
        assert self.steps.poll(PATIENCE), "a close stands still"
        self.steps.recv_bytes()


def steps_left(store: Store) -> int:
    """Of each account: issued, rendered, before and after its mail."""
    sent = sa.select(sa.func.count()).where(outbox_event.c.kind == "sent")
    with store.reading() as connection:
        issued, drawn = (
            connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (invoice, invoice_document)
        )
        return 4 * ACCOUNTS - issued - drawn - 2 * (connection.scalar(sent) or 0)


def rows(store: Store, table: sa.Table, *left_out: str) -> list[tuple[Any, ...]]:
    columns = [column for column in table.c if column.name not in left_out]
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*columns))]


def claims(store: Store) -> Counter[str]:
    """How often each message was claimed, by Message-ID."""
    query = (
        sa.select(outbox_message.c.message_id)
        .join(outbox_event, outbox_event.c.outbox_id == outbox_message.c.outbox_id)
        .where(outbox_event.c.kind == "claimed")
    )
    with store.reading() as connection:
        return Counter(connection.execute(query).scalars())


def test_a_close_killed_at_random_points_and_resumed_issues_and_mails_each_invoice_once(
    tmp_path: Path,
) -> None:
    dice, inbox, other_inbox = random.Random(7), Inbox(), Inbox()
    FORKS.set_forkserver_preload(["__main__", lab.__name__])
    with mail_server(inbox) as port, mail_server(other_inbox) as other_port:
        killed, whole = (
            settings_at(tmp_path / name).model_copy(
                update={"smtp_host": "127.0.0.1", "smtp_port": at, "smtp_security": "none"}
            )
            for name, at in (("killed", port), ("whole", other_port))
        )
        for settings in (killed, whole):
            lab.build_lakes(settings, ACCOUNTS)
        with open_store(killed) as store:
            lab.fill_store(store, ACCOUNTS)
            with closing(sqlite3.connect(killed.home / "operations.sqlite")) as file:
                file.execute("vacuum into ?", [str(whole.home / "operations.sqlite")])
        with open_store(killed) as store, ThreadPoolExecutor(1) as beside:
            uninterrupted = beside.submit(Close(whole).run_to_its_end)
            for kill in range(KILLS):
                most = 2 * steps_left(store) // (KILLS - kill + 1)
                Close(killed).kill_after(
                    dice.randint(0, max(most - 2, 0)), dice.choice([0, dice.uniform(0, 0.05)])
                )
            assert steps_left(store) > 0
            Close(killed).run_to_its_end()
            uninterrupted.result(PATIENCE)
    with open_store(killed) as store, open_store(whole) as other:
        issued = list_issued(store)
        assert [one.number for one in issued] == [
            f"INV-2026-{number:06d}" for number in range(1, ACCOUNTS + 1)
        ]
        assert [one.account_id for one in issued] == [
            f"a{number:03d}" for number in range(1, ACCOUNTS + 1)
        ]
        for table in (invoice, invoice_line, credit_grant, invoice_document, outbox_message):
            found = rows(store, table)
            assert found == rows(other, table)
            assert len(found) >= ACCOUNTS
        assert set(other_inbox.mails.values()) == {1}
        assert inbox.mails.keys() == other_inbox.mails.keys()
        assert len(inbox.mails) == ACCOUNTS
        repeated = {name: count - 1 for name, count in inbox.mails.items() if count > 1}
        print(f"{ACCOUNTS} invoices, {KILLS} kills, {sum(repeated.values())} repeated")
        claimed = claims(store)
        assert sum(repeated.values()) <= KILLS
        assert all(count < claimed[name.partition(" ")[2]] for name, count in repeated.items())
