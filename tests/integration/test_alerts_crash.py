"""A year of alerts with two evaluators at once, killed again and again: none lost, none repeated
but by a kill between the mail server's acceptance and our record.
"""

import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from billing.alerts.delivery import Sender
from billing.alerts.outbox import deliver
from billing.schema import outbox_event, outbox_message
from billing.store import Store, open_store
from tests.integration import alerts_lab as lab
from warehouse.settings import Settings

KILLS = int(os.environ.get("METERHOUSE_CRASH_KILLS", "20"))
MOST_STEPS = max(500 // KILLS, 3)
"""Steps that an evaluator may do before it is killed: so many that the year lasts for all kills."""

FORKS = multiprocessing.get_context("forkserver")
PATIENCE = 600.0


class Evaluator:
    """A process that replays the year, and what it says of its steps."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.steps, theirs = FORKS.Pipe(duplex=False)
        self.process = FORKS.Process(target=lab.replay, args=(settings, folder, theirs))
        self.process.start()
        theirs.close()

    def runs_for(self, steps: int) -> bool:
        """Wait until it did so many steps from now on; False once it is at its end."""
        try:
            while self.steps.poll():
                self.steps.recv_bytes()
            for _ in range(steps):
                assert self.steps.poll(PATIENCE), "an evaluator stands still"
                self.steps.recv_bytes()
        except EOFError:
            self.process.join(PATIENCE)
            assert self.process.exitcode == 0
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.join(PATIENCE)
        self.steps.close()


def counts(store: Store) -> tuple[int, Counter[str], int]:
    """Messages that were written, claims of each by Message-ID, and how many were sent."""
    claims = (
        sa.select(outbox_message.c.message_id)
        .join(outbox_event, outbox_event.c.outbox_id == outbox_message.c.outbox_id)
        .where(outbox_event.c.kind == "claimed")
    )
    sent = sa.select(sa.func.count(outbox_event.c.outbox_id.distinct())).where(
        outbox_event.c.kind == "sent"
    )
    with store.reading() as connection:
        written = connection.scalar(sa.select(sa.func.count()).select_from(outbox_message)) or 0
        return (
            written,
            Counter(connection.execute(claims).scalars()),
            connection.scalar(sent) or 0,
        )


def test_no_message_is_lost_and_none_repeated_whatever_is_killed(tmp_path: Path) -> None:
    inbox, dice = lab.Inbox(), random.Random(6)
    FORKS.set_forkserver_preload(["__main__", lab.__name__])
    with lab.mail_server(inbox) as port:
        settings = Settings(
            home=tmp_path / "home", smtp_host="127.0.0.1", smtp_port=port, smtp_security="none"
        )
        with open_store(settings) as store:
            lab.make_budgets(store)
        running = [Evaluator(settings, tmp_path) for _ in range(2)]
        kills = 0
        while kills < KILLS:
            number = dice.randrange(2)
            if running[number].runs_for(dice.randint(1, MOST_STEPS)):
                time.sleep(dice.choice([0, dice.uniform(0, 0.05)]))
                kills += 1
            else:
                (tmp_path / "reached").unlink(missing_ok=True)  # the year once more
            running[number].kill()
            running[number] = Evaluator(settings, tmp_path)
        for each in running:
            while each.runs_for(MOST_STEPS):
                pass
        with open_store(settings) as store, Sender(settings, store) as send:
            give_up = time.monotonic() + PATIENCE
            while True:
                deliver(store, send)
                written, claims, sent = counts(store)
                if sent == written or time.monotonic() > give_up:
                    break
                time.sleep(0.5)  # claims of the killed run out
    wanted = lab.expected(lab.ReplayLake())
    repeated = {name: count - 1 for name, count in inbox.mails.items() if count > 1}
    print(f"{wanted} messages, {kills} kills, {sum(repeated.values())} repeated")
    assert wanted > 300
    assert written == sent == len(inbox.mails) == wanted
    assert sum(repeated.values()) <= kills
    assert all(count < claims[name.partition(" ")[2]] for name, count in repeated.items())
