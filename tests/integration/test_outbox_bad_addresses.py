"""An address that answers nonsense, or is none, holds up no other message of the outbox."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest

from billing.accounts import add_account
from billing.alerts import delivery, outbox
from billing.alerts.delivery import Sender
from billing.invitations import invite
from billing.store import open_store
from warehouse.errors import MeterhouseError
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
        thread.join(60)


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


@pytest.mark.parametrize("leads_to", ["10.0.0.5", "127.0.0.1", "169.254.169.254", "fd00::5"])
def test_a_name_that_leads_into_the_platforms_network_is_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leads_to: str
) -> None:
    def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("93.184.216.34", 0)), (0, 0, 0, "", (leads_to, 0))]

    monkeypatch.setattr(delivery, "getaddrinfo", resolved)
    kind, detail = deliver_two(tmp_path, "https://hooks.customer.example/x")["webhook"]
    assert kind == "given_up"
    assert detail.startswith("hooks.customer.example leads into the platform's network")


def test_an_account_cannot_have_more_mails_a_day_than_anybody_needs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with open_store(settings) as store:
        add_account(store, "acme")
        add_account(store, "tokyo")
        for number in range(outbox.MOST_A_DAY):
            outbox.put_test(store, "acme", f"p{number}@q.example", "b.example")
        with pytest.raises(MeterhouseError, match="go on later"):
            outbox.put_test(store, "acme", "x@q.example", "b.example")
        with pytest.raises(MeterhouseError, match="go on later"):
            invite(store, settings, "acme", "x@q.example", "viewer")
        outbox.put_test(store, "tokyo", "x@q.example", "b.example")
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        invite(store, settings, "acme", "x@q.example", "viewer", now=tomorrow)
