"""Files that are made in the background and fetched once, through a route of the app's server.

A page starts an export and shows its progress; when it is done there is a link. The link names
the account and a random ticket, works once, for the browser that asked, for some minutes. Tickets
live in this process and files in a folder of its own: a restart leaves neither behind.
"""

import glob
import hashlib
import logging
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.context import gate_of
from app.deeds import FETCH_EXPORT, START_EXPORT
from app.gate import Gate, UnknownAccount
from app.users import Forbidden, NotSignedIn
from warehouse.errors import MeterhouseError
from warehouse.publication import Publication
from warehouse.settings import Settings, load_settings
from warehouse.usage.columns import COLUMNS, CUSTOMER_COLUMNS, MEDIA_TYPES, Column, Format
from warehouse.usage.export import export_usage, file_name
from warehouse.usage.selection import Selection

AT_ONCE = 2
"""Exports that are written at the same time; further ones wait."""

OPEN_JOBS = 20
"""Exports that may wait, be written or lie ready at the same time."""

LINK_SECONDS = 600.0
"""How long a finished file waits to be fetched."""

CHUNK_BYTES = 1 << 18

USER_COOKIE, XSRF_COOKIE = "_streamlit_user", "_streamlit_xsrf"
"""Cookies by which Streamlit knows a browser: who is logged in, and the browser itself."""

State = Literal["waiting", "running", "ready", "fetched", "expired", "failed", "cancelled"]

_log = logging.getLogger("meterhouse.app")


class Refused(Exception):
    """A link that leads to no file; ``status`` is the HTTP status, the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Cancelled(Exception):
    """Raised inside an export that nobody wants any more."""


class ExportJob:
    """One export: how far it is, and where its file is fetched. Safe to read from any thread."""

    def __init__(
        self, account_id: str, browser: str, name: str, output: Format, file: Path
    ) -> None:
        """Made by :meth:`ExportDesk.start` only."""
        self.account_id = account_id
        self.file_name = name
        self.output = output
        self.state: State = "waiting"
        self.fraction = 0.0
        self.rows: int | None = None
        self.size_bytes: int | None = None
        self.error: str | None = None
        self.ticket = secrets.token_urlsafe(32)
        self.browser = browser
        self.file = file
        self.expires_at = float("inf")

    @property
    def is_open(self) -> bool:
        """Whether it waits, is written, or lies ready."""
        return self.state in ("waiting", "running", "ready")

    @property
    def link(self) -> str | None:
        """Where the file is fetched, once; None until it is ready and after it was fetched."""
        if self.state != "ready":
            return None
        return f"/exports/{quote(self.account_id, safe='')}/{self.ticket}"

    def cancel(self) -> None:
        """Stop it, or throw the file away. Nothing happens when it was fetched already."""
        if self.is_open:
            self.state = "cancelled"
            self.file.unlink(missing_ok=True)


class ExportDesk:
    """All exports of this server."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Files lie in ``folder`` until they are fetched or expire."""
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, ExportJob] = {}
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="export")

    def start(
        self,
        settings: Settings,
        publication: Publication,
        account_id: str,
        selection: Selection,
        output: Format,
        browser: str,
        columns: Sequence[Column] = COLUMNS,
    ) -> ExportJob:
        """Begin an export. Raises MeterhouseError when too many are open."""
        self.clear_expired()
        job = ExportJob(
            account_id,
            browser,
            file_name(account_id, selection, output),
            output,
            self._folder / secrets.token_hex(16),
        )
        with self._lock:
            if sum(other.is_open for other in self._jobs.values()) >= OPEN_JOBS:
                raise MeterhouseError(
                    "too many exports are being made; try again when some were fetched"
                )
            self._jobs[job.ticket] = job
        self._workers.submit(self._run, job, settings, publication, selection, columns)
        return job

    def claim(self, account_id: str, ticket: str, browser: str) -> ExportJob:
        """Take the file of a ticket; nobody can take it again.

        Raises Refused: 404 for an unknown ticket, 403 for one of another account or browser, 409
        for one that is not ready, 410 for one that was fetched or has expired.
        """
        self.clear_expired()
        with self._lock:
            job = self._ready(account_id, ticket, browser)
            job.state, job.expires_at = "fetched", self._clock()
        return job

    def look(self, account_id: str, ticket: str, browser: str) -> ExportJob:
        """The job of a ticket that can be fetched, without taking it. Raises Refused as claim."""
        self.clear_expired()
        with self._lock:
            return self._ready(account_id, ticket, browser)

    def _ready(self, account_id: str, ticket: str, browser: str) -> ExportJob:
        job = self._jobs.get(ticket)
        if job is None:
            raise Refused(404, "This link leads to no export. Make the export again.")
        if job.account_id != account_id or job.browser != browser:
            raise Refused(403, "This link belongs to another account or browser.")
        if job.state in ("waiting", "running"):
            raise Refused(409, "This export is still being made.")
        if job.state == "fetched":
            raise Refused(410, "This link was used already. Make the export again.")
        if job.state != "ready":
            raise Refused(410, "This link has expired. Make the export again.")
        return job

    def clear_expired(self) -> None:
        """Remove the files of links that nobody followed in time, and forget old tickets."""
        now = self._clock()
        with self._lock:
            for ticket, job in list(self._jobs.items()):
                if job.state == "ready" and now >= job.expires_at:
                    job.state = "expired"
                    job.file.unlink(missing_ok=True)
                if not job.is_open and now >= job.expires_at + LINK_SECONDS:
                    del self._jobs[ticket]

    def close(self) -> None:
        """Stop what runs and remove every file."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel()
        self._workers.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(
        self,
        job: ExportJob,
        settings: Settings,
        publication: Publication,
        selection: Selection,
        columns: Sequence[Column],
    ) -> None:
        def progress(fraction: float) -> None:
            if job.state == "cancelled":
                raise _Cancelled
            job.fraction = fraction

        try:
            with self._lock:
                if job.state != "waiting":
                    return
                job.state = "running"
            self._folder.mkdir(parents=True, exist_ok=True)
            written = export_usage(
                settings,
                job.account_id,
                selection,
                job.output,
                job.file,
                columns=columns,
                publication=publication,
                progress=progress,
            )
            with self._lock:
                if job.state != "running":
                    job.file.unlink(missing_ok=True)
                    return
                job.rows, job.size_bytes = written.rows, written.size_bytes
                job.expires_at = self._clock() + LINK_SECONDS
                job.state = "ready"
            expiry = threading.Timer(LINK_SECONDS + 1, self.clear_expired)
            expiry.daemon = True
            expiry.start()
        except _Cancelled:
            job.file.unlink(missing_ok=True)
        except MeterhouseError as error:
            job.error, job.state = str(error), "failed"
        except Exception:
            _log.exception("an export failed")
            job.error, job.state = "Something unexpected happened; the log says what.", "failed"
        finally:
            if not job.is_open:
                job.expires_at = min(job.expires_at, self._clock())


@cache
def export_desk() -> ExportDesk:
    """The exports of this server, in a folder of this process under the home."""
    folder = load_settings().home / "tmp" / "exports"
    host = socket.gethostname()
    remove_leftovers(folder, host)
    return ExportDesk(folder / f"{host}-{os.getpid()}")


def close_export_desk() -> None:
    """Stop what is being made and remove what was not fetched, when the server ends."""
    if export_desk.cache_info().currsize:
        export_desk().close()
        export_desk.cache_clear()


def remove_leftovers(folder: Path, host: str) -> None:
    """Remove the folders of this host's servers that no longer run, called HOST-PROCESS."""
    for left in folder.glob(f"{glob.escape(host)}-*"):
        number = left.name.removeprefix(f"{host}-")
        if number == str(os.getpid()) or (number.isdigit() and not _is_running(int(number))):
            shutil.rmtree(left, ignore_errors=True)


def start_export(
    gate: Gate,
    account_id: str,
    selection: Selection,
    output: Format,
    cookies: Mapping[str, str],
) -> ExportJob:
    """Begin to write the selected usage of an account as a file, at the gate's publication.

    ``cookies`` are those of the browser that asks (``st.context.cookies``); only it can fetch the
    file. Only the staff's has provider cost in it. Raises UnknownAccount unless the user may see
    the account, MeterhouseError when nothing is published or too many exports are open.
    """
    if gate.publication is None:
        raise MeterhouseError("nothing is published yet")
    reader = gate.enter(account_id)
    reader.allow(START_EXPORT, format=output.value, first=selection.first, until=selection.until)
    account = reader.account
    return export_desk().start(
        gate.settings,
        gate.publication,
        account.account_id,
        selection,
        output,
        browser_of(cookies),
        COLUMNS if reader.sees_cost else CUSTOMER_COLUMNS,
    )


def browser_of(cookies: Mapping[str, str]) -> str:
    """A digest by which a browser is known again; that of nothing where it sends no cookie."""
    user = [f"{name}={cookies[name]}" for name in sorted(cookies) if name.startswith(USER_COOKIE)]
    known = "\0".join([*user, unmasked(cookies.get(XSRF_COOKIE, ""))])
    return hashlib.sha256(known.encode()).hexdigest()


def unmasked(token: str) -> str:
    """What stays the same of Streamlit's XSRF cookie, ``2|mask|masked token|time`` in hex.

    The mask is another one whenever the cookie is set anew.
    """
    try:
        _, mask, masked, _ = token.strip("\"'").split("|")
        key = bytes.fromhex(mask)
        return bytes(
            byte ^ key[at % len(key)] for at, byte in enumerate(bytes.fromhex(masked))
        ).hex()
    except (ValueError, ZeroDivisionError):
        return token


def fetch(request: Request) -> Response:
    """The file of a ticket, in pieces, removed afterwards; or a sentence that says why not."""
    asked = (
        request.path_params["account_id"],
        request.path_params["ticket"],
        browser_of(request.cookies),
    )
    desk = export_desk()
    is_head = request.method == "HEAD"
    try:
        reader = gate_of(request).enter(asked[0])
        job = desk.look(*asked)
        if not is_head:
            reader.allow(FETCH_EXPORT, file=job.file_name)
            job = desk.claim(*asked)
        content = None if is_head else opened(job)
    except NotSignedIn:
        return PlainTextResponse("Sign in first, then follow the link.\n", 401, headers=_ALWAYS)
    except UnknownAccount:
        return PlainTextResponse("This link leads to no export.\n", 404, headers=_ALWAYS)
    except Forbidden as forbidden:
        return PlainTextResponse(f"{forbidden}\n", 403, headers=_ALWAYS)
    except Refused as refused:
        return PlainTextResponse(f"{refused}\n", refused.status, headers=_ALWAYS)
    headers = {
        **_ALWAYS,
        "Content-Disposition": f'attachment; filename="{job.file_name}"',
        "Content-Length": str(job.size_bytes),
    }
    media_type = MEDIA_TYPES[job.output]
    if content is None:
        return Response(headers=headers, media_type=media_type)
    return FileOnce(content, headers=headers, media_type=media_type)


_ALWAYS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

ROUTES = [Route("/exports/{account_id:path}/{ticket}", fetch)]


def opened(job: ExportJob) -> IO[bytes]:
    """The job's file, open and without a name, so that it vanishes when it is closed."""
    try:
        content = job.file.open("rb")
        job.file.unlink()
    except FileNotFoundError:
        raise Refused(410, "This export was thrown away. Make it again.") from None
    return content


class FileOnce(StreamingResponse):
    """An open file, sent in pieces and closed whether or not all of it was wanted."""

    def __init__(self, content: IO[bytes], *, headers: Mapping[str, str], media_type: str) -> None:
        """``content`` is closed in the end."""
        pieces = iter(lambda: content.read(CHUNK_BYTES), b"")
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._content.close()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
