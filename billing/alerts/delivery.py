"""Delivery: mail through SMTP or into a folder, webhooks as signed JSON over HTTP."""

import smtplib
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, formataddr
from http.client import HTTPException
from socket import getaddrinfo
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from billing.alerts.outbox import Delivered, Message, Refused, deliver
from billing.budgets.budget import is_public
from billing.gateways.signature import sign
from billing.invoices.issued import document_of, file_name, invoice_of
from billing.store import Store
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

TIMEOUT_SECONDS = 10
SIGNATURE_HEADER = "Meterhouse-Signature"


def send_due(settings: Settings, store: Store, *, now: datetime | None = None) -> Delivered:
    """Send every message of the outbox that is due, by the clock or as of ``now``."""
    with Sender(settings, store) as send:
        return deliver(store, send, (lambda: now) if now else None)


class Sender:
    """Sends messages of the outbox; keeps its connection to the mail server for the next one.

    A server that cannot be reached is not asked again by the same sender: a round of a thousand
    messages waits for it once. Documents of invoices are fetched from the store as they are sent.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        """Connects to nothing before the first message."""
        self._settings = settings
        self._store = store
        self._smtp: smtplib.SMTP | None = None
        self._unreached: dict[str, str] = {}

    def __call__(self, message: Message) -> None:
        """Send one. Raises Refused for never, OSError for not now."""
        if message.channel == "mail" and not self._settings.smtp_host:
            self._write(message)
            return
        is_mail = message.channel == "mail"
        server = "the mail server" if is_mail else urlsplit(message.recipient).netloc
        if server in self._unreached:
            raise OSError(self._unreached[server])
        try:
            if is_mail:
                self._mail(message)
            else:
                self._post(message)
        except _Unreached as error:
            self._unreached[server] = str(error)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hang_up()

    def _mail(self, message: Message) -> None:
        mail = self._made(message)
        try:
            if self._smtp is None:
                self._smtp = self._reach()
            self._smtp.send_message(
                mail, from_addr=self._settings.mail_from, to_addrs=[message.recipient]
            )
        except smtplib.SMTPRecipientsRefused as error:
            self._hang_up()
            code, text = error.recipients[message.recipient]
            _raise(code, text)
        except smtplib.SMTPDataError as error:
            self._hang_up()
            _raise(error.smtp_code, error.smtp_error)
        except smtplib.SMTPException as error:
            self._hang_up()
            raise OSError(f"mail server: {error}") from error
        except TimeoutError as error:
            self._hang_up()
            raise _Unreached(f"mail server: {error}") from error
        except OSError:
            self._hang_up()
            raise

    def _made(self, message: Message) -> EmailMessage:
        mail = mail_of(message, self._settings)
        if (number := invoice_of(message.reference)) is not None:
            try:
                pdf = document_of(self._store, number)
            except MeterhouseError as error:
                raise OSError(str(error)) from error
            mail.add_attachment(
                pdf, maintype="application", subtype="pdf", filename=file_name(number)
            )
        return mail

    def _reach(self) -> smtplib.SMTP:
        try:
            return self._connect()
        except OSError as error:  # SMTPException is one
            raise _Unreached(f"mail server: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        context = ssl.create_default_context()
        address = (settings.smtp_host, settings.smtp_port)
        if settings.smtp_security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                *address, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            smtp = smtplib.SMTP(*address, timeout=TIMEOUT_SECONDS)
        try:
            if settings.smtp_security == "starttls":
                smtp.starttls(context=context)
            if settings.smtp_user:
                _log_in(smtp, settings.smtp_user, settings.smtp_password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _hang_up(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()

    def _write(self, message: Message) -> None:
        """Into the folder, under the Message-ID: written again it is the same file."""
        folder = self._settings.mail_folder
        folder.mkdir(parents=True, exist_ok=True)
        name = message.message_id.strip("<>").partition("@")[0]
        part = folder / f"{name}.part"
        part.write_bytes(self._made(message).as_bytes())
        part.replace(folder / f"{name}.eml")

    def _post(self, message: Message) -> None:
        secret = self._settings.alert_webhook_secret
        if not secret:
            raise OSError("METERHOUSE_ALERT_WEBHOOK_SECRET is not set")
        if not self._settings.allow_internal_webhooks:
            _refuse_inside(urlsplit(message.recipient).hostname or "")
        body = message.content.encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.message_id.strip("<>"),
            SIGNATURE_HEADER: sign(body, secret, datetime.now(UTC)),
        }
        request = urllib.request.Request(message.recipient, body, headers)  # noqa: S310
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS):
                pass
        except TimeoutError as error:
            raise _Unreached(f"the webhook cannot be reached: {error}") from error
        except HTTPException as error:
            raise OSError(f"the webhook does not speak HTTP: {error}") from error
        except ValueError as error:
            raise Refused(f"the webhook cannot be asked: {error}") from error
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (400, 403, 404, 410, 413, 422):
                    raise Refused(f"the webhook answered {error.code}") from None
                raise OSError(f"the webhook answered {error.code}") from None
        except urllib.error.URLError as error:
            raise _Unreached(f"the webhook cannot be reached: {error.reason}") from error


class _Unreached(OSError):
    """The server itself cannot be reached now, or takes nothing from us: whatever the message."""


class _MailPolicy(EmailPolicy):
    """Folds subjects by the older Header: the policy's own folding loses spaces of some scripts."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        """A header as it goes over the wire, its lines ended."""
        if name.lower() != "subject":
            return super().fold_binary(name, value)
        header = Header(str(value), header_name=name, maxlinelen=76)
        return f"{name}: {header.encode(linesep=self.linesep)}{self.linesep}".encode("ascii")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the address was checked, where it leads was not."""


def _refuse_inside(host: str) -> None:
    """Raises Refused for a name of the internet that leads into the platform's own network.

    Who sets a webhook by an inside name or number is of the staff and means it.
    """
    if not is_public(host):
        return
    try:
        found = {str(info[4][0]) for info in getaddrinfo(host, None)}
    except (OSError, ValueError):
        return  # asking it fails as well, and says how
    if not all(map(is_public, found)):
        raise Refused(
            f"{host} leads into the platform's network; where that is meant, set "
            "METERHOUSE_ALLOW_INTERNAL_WEBHOOKS=true"
        )


def _log_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    """Log in, in UTF-8 (RFC 4616) where smtplib, which knows only ASCII, would fail."""
    if (user + password).isascii():
        smtp.login(user, password)
        return
    smtp.ehlo_or_helo_if_needed()
    token = b64encode(f"\0{user}\0{password}".encode()).decode()
    code, said = smtp.docmd("AUTH", f"PLAIN {token}")
    if code not in (235, 503):
        raise smtplib.SMTPAuthenticationError(code, said)


def _raise(code: int, text: bytes | str) -> None:
    said = f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    if 500 <= code < 600:
        raise Refused(said)
    raise OSError(said)


def mail_of(message: Message, settings: Settings) -> EmailMessage:
    """The mail: text, and HTML beside it. The same message gives the same Message-ID and date.

    Raises Refused for what cannot stand in a header.
    """
    mail = EmailMessage(_MailPolicy(linesep="\r\n"))
    try:
        mail["Subject"] = message.subject
        mail["From"] = formataddr((settings.platform_name, settings.mail_from))
        mail["To"] = message.recipient
    except ValueError as error:
        raise Refused(f"no mail can be made of it: {error}") from error
    mail["Message-ID"] = message.message_id
    mail["Date"] = format_datetime(message.recorded_at or datetime.now(UTC))
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.content)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    return mail
