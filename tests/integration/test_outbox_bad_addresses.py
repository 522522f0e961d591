"""An address that answers nonsense, or is none, holds up no other message of the outbox."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import create_server

import pytest

from billing.accounts import add_account
from billing.alerts import outbox
from billing.alerts.delivery import Sender
from billing.store import open_store
from warehouse.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """The address of a server on loopback that takes a request and answers ``reply``."""
    with create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.recv(65536)
                taken.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        thread.join(5)


def deliver_two(home: Path, address: str) -> dict[str, tuple[str, str]]:
    """A webhook to ``address`` and a mail behind it, tried once: (kind, detail) by channel."""
    settings = Settings(home=home, alert_webhook_secret="s")
    with open_store(settings) as store, Sender(settings, store) as send:
        add_account(store, "acme")
        with store.writing() as connection:
            for channel, to in (("webhook", address), ("mail", "a@b.example")):
                message = outbox.Message(channel, "acme", channel, to, "Alert", "{}")
                outbox.put(connection, message, None, "b.example", NOW)
        outbox.deliver(store, send, lambda: NOW)
        return {row.channel: (row.kind, row.detail) for row in outbox.history(store, "acme")}


@pytest.mark.parametrize("reply", [b"220 mail.b.example ESMTP\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_a_webhook_that_speaks_no_http_is_tried_again_and_the_next_is_sent(
    tmp_path: Path, reply: bytes
) -> None:
    with answering(reply) as address:
        found = deliver_two(tmp_path, address)
    assert found["mail"] == ("sent", "")
    kind, detail = found["webhook"]
    assert kind == "failed"
    assert detail.startswith("the webhook does not speak HTTP")


@pytest.mark.parametrize(
    "address", [f"https://{'a' * 64}.example/x", "https://b..example/x", "https://b.example/ü"]
)
def test_an_address_that_cannot_be_asked_is_given_up_and_the_next_is_sent(
    tmp_path: Path, address: str
) -> None:
    found = deliver_two(tmp_path, address)
    assert found["mail"] == ("sent", "")
    kind, detail = found["webhook"]
    assert kind == "given_up"
    assert detail.startswith("the webhook cannot be asked")
