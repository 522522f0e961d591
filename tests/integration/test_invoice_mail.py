"""Invoices are mailed once, with their document, to a real mail server."""

import email
from collections.abc import Iterator
from datetime import timedelta
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from billing.accounts import set_account
from billing.alerts.delivery import Sender
from billing.alerts.outbox import LONGEST_WAIT, deliver
from billing.invoices.closing import close
from billing.invoices.issued import document_of, list_issued
from billing.invoices.mailing import MAILED_FOR, finish, mail_states, resend, write_mails
from billing.invoices.notes import credit_note
from billing.invoices.parties import set_issuer, set_profile
from billing.invoices.rendering import render_missing
from billing.store import Store, open_store
from tests.integration.alerts_lab import Inbox, mail_server
from tests.integration.invoice_lab import NOW, OCTOBER, RECIPIENT, build_lakes, fill_store
from tests.integration.small_lake import settings_at
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

HOSTILE = "<b>Ümläut & Co</b> Bcc: all@evil.example אבג 🚀 " + "W" * 200


class Post:
    """An instance with three accounts to invoice, and the mail server that it uses."""

    def __init__(self, settings: Settings, store: Store, inbox: Inbox) -> None:
        self.settings, self.store, self.inbox = settings, store, inbox

    def close(self) -> None:
        close(self.settings, self.store, OCTOBER, now=NOW, actor="closer")

    def mails(self) -> list[EmailMessage]:
        return [email.message_from_bytes(text, policy=default) for text in self.inbox.texts]

    def states(self) -> dict[str, tuple[str, str, int]]:
        return {
            number: (mail.state, mail.recipient, mail.copies)
            for number, mail in mail_states(self.store).items()
        }


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    inbox = Inbox()
    with mail_server(inbox) as port:
        settings = settings_at(tmp_path).model_copy(
            update={"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
        )
        build_lakes(settings, 3)
        with open_store(settings) as store:
            fill_store(store, 3)
            addresses = {"a001": "pay@one.example", "a002": "bounces@two.example", "a003": None}
            for account, address in addresses.items():
                set_account(store, account, {"email": address}, now=NOW)
            yield Post(settings, store, inbox)


def subject(mail: EmailMessage) -> str:
    return str(make_header(decode_header(mail["Subject"])))


def test_an_invoice_is_mailed_once_with_its_document(post: Post) -> None:
    post.close()
    done = finish(post.settings, post.store, now=NOW)
    assert (done.rendered, done.written) == (3, 2)
    assert [one.number for one in done.unaddressed] == ["INV-2026-000003"]
    (mail,) = post.mails()
    assert mail["To"] == "pay@one.example"
    assert subject(mail) == "Invoice INV-2026-000001 for October 2026, Craveva AI GmbH"
    text = mail.get_body(("plain",))
    assert text is not None and "Amount due: EUR\u00a00.01" in text.get_content()
    assert "/invoices?account=a001&invoice=INV-2026-000001" in text.get_content()
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "INV-2026-000001.pdf"
    assert attached.get_content() == document_of(post.store, "INV-2026-000001")
    for _ in range(2):
        again = finish(post.settings, post.store, now=NOW + timedelta(days=1))
        assert (again.rendered, again.written, again.delivered.sent) == (0, 0, 0)
    assert len(post.mails()) == 1


def test_what_a_server_refuses_is_visible_and_sent_again_by_hand(post: Post) -> None:
    post.close()
    finish(post.settings, post.store, now=NOW)
    assert post.states()["INV-2026-000002"] == ("refused", "bounces@two.example", 1)
    assert "550" in mail_states(post.store, "a002")["INV-2026-000002"].detail
    assert resend(post.settings, post.store, "INV-2026-000002", "new@two.example") == (
        "new@two.example"
    )
    finish(post.settings, post.store, now=NOW)
    assert post.states()["INV-2026-000002"] == ("sent", "new@two.example", 2)
    assert [mail["To"] for mail in post.mails()] == ["pay@one.example", "new@two.example"]
    assert len({mail["Message-ID"] for mail in post.mails()}) == 2
    assert mail_states(post.store, "a001").keys() == {"INV-2026-000001"}


def test_while_the_server_is_down_mails_wait_and_arrive_once_it_is_back(post: Post) -> None:
    post.inbox.is_down = True
    post.close()
    assert finish(post.settings, post.store, now=NOW).delivered.sent == 0
    assert post.states()["INV-2026-000001"][0] == "failed"
    post.inbox.is_down = False
    later = mail_states(post.store)["INV-2026-000001"].at + LONGEST_WAIT
    with Sender(post.settings, post.store) as send:
        assert deliver(post.store, send, lambda: later).sent == 1
    assert post.states()["INV-2026-000001"][0] == "sent" and len(post.mails()) == 1


def test_who_has_no_address_is_named_and_mailed_once_it_has_one(post: Post) -> None:
    post.close()
    with pytest.raises(MeterhouseError, match="accounts set a003 --email"):
        resend(post.settings, post.store, "INV-2026-000003")
    with pytest.raises(MeterhouseError, match="no invoice"):
        resend(post.settings, post.store, "INV-2026-000003", account_id="a001")
    with pytest.raises(MeterhouseError, match="e-mail"):
        resend(post.settings, post.store, "INV-2026-000003", "nobody\r\nBcc: a@b.example")
    set_account(post.store, "a003", {"email": "late@three.example"}, now=NOW)
    long_after = NOW + MAILED_FOR + timedelta(days=1)
    render_missing(post.settings, post.store, now=NOW)
    assert write_mails(post.settings, post.store, now=long_after) == (0, [])
    assert write_mails(post.settings, post.store, now=NOW) == (3, [])
    with pytest.raises(MeterhouseError, match="waits already"):
        resend(post.settings, post.store, "INV-2026-000003")


def test_names_are_text_in_a_mail_and_a_note_speaks_the_recipients_language(post: Post) -> None:
    set_profile(post.store, "a001", {**RECIPIENT, "language": "de"}, now=NOW)
    set_issuer(post.store, {"name": HOSTILE}, now=NOW)
    post.close()
    number = list_issued(post.store, account_id="a001")[0].number
    credit_note(post.settings, post.store, number, None, reason=HOSTILE, now=NOW)
    finish(post.settings, post.store, now=NOW)
    invoice, note = post.mails()
    assert subject(invoice) == f"Rechnung INV-2026-000001 für Oktober 2026, {HOSTILE}"
    assert subject(note) == f"Gutschrift CN-2026-000001 für Oktober 2026, {HOSTILE}"
    text, html = note.get_body(("plain",)), note.get_body(("html",))
    assert text is not None and "0,01\u00a0EUR" in text.get_content()
    assert html is not None and "&lt;b&gt;Ümläut" in html.get_content()
    assert "Bcc" not in note and note["To"] == "pay@one.example"
