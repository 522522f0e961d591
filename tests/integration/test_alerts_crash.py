"""A year of alerts with two evaluators at once, killed again and again: none lost, none repeated
but by a kill between the mail server's acceptance and our record.
"""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from billing.alerts.delivery import Sender
from billing.alerts.outbox import deliver
from billing.schema import outbox_event, outbox_message
from billing.store import open_store
from tests.integration import alerts_lab as lab
from warehouse.settings import ROOT, Settings

KILLS = int(os.environ.get("METERHOUSE_CRASH_KILLS", "20"))


def test_no_message_is_lost_and_none_repeated_whatever_is_killed(tmp_path: Path) -> None:
    inbox, dice = lab.Inbox(), random.Random(6)
    with lab.mail_server(inbox) as port:
        settings = Settings(
            home=tmp_path / "home", smtp_host="127.0.0.1", smtp_port=port, smtp_security="none"
        )
        with open_store(settings) as store:
            lab.make_budgets(store)

        def start() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "tests.integration.alerts_lab", str(tmp_path)]
            return subprocess.Popen(command, cwd=ROOT, env=settings.environment())

        running = [start(), start()]
        kills = 0
        while kills < KILLS:
            time.sleep(dice.uniform(0.1, 0.9) if kills % 2 else dice.uniform(0.9, 1.8))
            victim = dice.randrange(2)
            running[victim].send_signal(signal.SIGKILL)
            running[victim].wait()
            kills += 1
            running[victim] = start()
        assert [process.wait(300) for process in running] == [0, 0]
        time.sleep(lab.LEASE.total_seconds())
        with open_store(settings) as store, Sender(settings) as send:
            deliver(store, send)
            with store.reading() as connection:
                written = connection.scalar(sa.select(sa.func.count()).select_from(outbox_message))
                sent = connection.scalar(
                    sa.select(sa.func.count(outbox_event.c.outbox_id.distinct())).where(
                        outbox_event.c.kind == "sent"
                    )
                )
    wanted = lab.expected(lab.ReplayLake())
    repeated = sum(inbox.mails.values()) - len(inbox.mails)
    print(f"{datetime.now(UTC):%H:%M:%S} {wanted} messages, {kills} kills, {repeated} repeated")
    assert wanted > 300
    assert written == sent == len(inbox.mails) == wanted
    assert repeated <= kills
