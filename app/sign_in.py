"""Sign-in: telling Streamlit of the OIDC provider, and who asks on a page or through a route.

``st.login`` does the signing in. Streamlit keeps what the provider said of a person in a cookie
that it signs; a page reads it as ``st.user``, and our routes read the same cookie with Streamlit's
own functions. Roles are read from the store each time, so a member who is removed is out at once.

The cookie by itself would let its bearer in for a month, and a copy of it after signing out too.
So a sign-in ends after ``METERHOUSE_SESSION_HOURS``, and at once when its person signs out: the
audit log's row of that is looked for each time.
"""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config
from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from app.users import LOCAL, User, email_of, signed_in
from billing import audit
from billing.members import memberships
from billing.store import Store
from warehouse.listening import is_loopback, refuse_remote
from warehouse.settings import Settings

REFUSED = (
    "This app has no sign-in, so it is only reached from its own machine. Configure "
    "METERHOUSE_OIDC_*, or set METERHOUSE_ALLOW_REMOTE_WITHOUT_SIGN_IN=true if everybody who "
    "reaches it may do everything."
)


@dataclass(frozen=True)
class Visitor:
    """Who opened a page: nobody yet, somebody whose address is not verified, or a user.

    ``reference`` names the sign-in, the same in every session that it opens. ``has_ended`` tells
    nobody yet from somebody whose sign-in has ended.
    """

    user: User | None
    claimed: str | None = None
    reference: str | None = None
    has_ended: bool = False


def secrets_file(settings: Settings) -> Path:
    """The file that tells Streamlit of the provider; only its owner may read it."""
    return settings.home / "private" / "streamlit-secrets.toml"


def prepare(settings: Settings) -> None:
    """Tell Streamlit of the provider, and refuse to listen where nobody would sign in.

    Called when the server's entry is imported, however that was started. Raises MeterhouseError
    for an address beyond loopback without sign-in.
    """
    refuse_remote(settings, config.get_option("server.address"))
    if settings.app_url and (host := urlsplit(settings.app_url).hostname):
        config.set_option("browser.serverAddress", host)
    if settings.has_sign_in:
        _write_privately(secrets_file(settings), _secrets(settings))
        config.set_option("secrets.files", [str(secrets_file(settings))])
    else:
        config.set_option("secrets.files", [])
    secrets_singleton._reset()


def visitor(settings: Settings, store: Store | None) -> Visitor:
    """Who opened the page that runs now."""
    return looking(settings, store)()


def looking(settings: Settings, store: Store | None) -> Callable[[], Visitor]:
    """A function that tells, at any later moment and in any thread, who opened this page."""
    if not settings.has_sign_in:
        return partial(Visitor, LOCAL)
    claims = {key: value for key, value in st.user.to_dict().items() if key != "tokens"}
    origin = st.context.ip_address or "loopback"
    return partial(visitor_of, claims, settings, store, origin)


def user_of_request(request: Request, settings: Settings, store: Store | None) -> User | None:
    """Who sent a request to one of our routes; None for who has not signed in."""
    if not settings.has_sign_in:
        return LOCAL
    origin = request.client.host if request.client else "unknown"
    claims = claims_of(request.cookies)
    return visitor_of(claims, settings, store, origin).user


def visitor_of(
    claims: Mapping[str, Any],
    settings: Settings,
    store: Store | None,
    origin: str,
    now: datetime | None = None,
) -> Visitor:
    """The visitor that a provider's claims describe."""
    if claims.get("is_logged_in") is not True:
        return Visitor(None)
    email = email_of(claims)
    if email is None:
        return Visitor(None, str(claims.get("email") or claims.get("sub") or "unknown"))
    reference = f"{claims.get('iat')}|{email}"
    if has_expired(claims, settings, now or datetime.now(UTC)) or (
        store and audit.is_recorded(store, sign_out_reference(reference))
    ):
        return Visitor(None, has_ended=True)
    roles = memberships(store, email) if store else {}
    return Visitor(signed_in(email, claims, roles, settings, origin), email, reference)


def has_expired(claims: Mapping[str, Any], settings: Settings, now: datetime) -> bool:
    """Whether a sign-in is too long ago; one of which the provider does not tell when, is."""
    issued = claims.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        return True
    return now.timestamp() - issued > timedelta(hours=settings.session_hours).total_seconds()


def sign_in_reference(reference: str) -> str:
    """The reference of a sign-in's row in the audit log."""
    return f"sign-in|{reference}"


def sign_out_reference(reference: str) -> str:
    """The reference of the row in the audit log that ends a sign-in."""
    return f"sign-out|{reference}"


def claims_of(cookies: Mapping[str, str]) -> dict[str, Any]:
    """What Streamlit's signed cookie holds; nothing where it is missing, forged or not ours."""

    def one(name: str) -> bytes | None:
        value = cookies.get(name)
        if value is None:
            return None
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1", "replace"))

    try:
        content = get_cookie_with_chunks(one, USER_COOKIE_NAME)
        claims = json.loads(content) if content else {}
    except ValueError:
        return {}
    if not isinstance(claims, dict) or claims.get("origin") != get_origin_from_redirect_uri():
        return {}
    return claims


class OnlyLocal:
    """ASGI middleware: without sign-in, only what comes from this machine is answered.

    It guards where another server than Streamlit's own listens, whose address is not known here,
    and against a page of the web whose name was made to lead to this machine (DNS rebinding): what
    a browser sends for it comes over loopback, but names that page's host.
    """

    def __init__(self, app: ASGIApp, is_open: bool) -> None:
        """``is_open`` lets everything through: people sign in, or a setting allows it."""
        self._app = app
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if self._is_open or scope["type"] not in ("http", "websocket") or _is_from_here(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(f"{REFUSED}\n", 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "not from here"})


def _is_from_here(scope: Scope) -> bool:
    """Whether a request came over loopback, to this machine, and through no proxy."""
    ends = [end[0] for end in (scope.get("client"), scope.get("server")) if end]
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    return (
        all(map(is_loopback, ends))
        and _is_this_machine(headers.get(b"host", ""))
        and not headers.keys() & {b"x-forwarded-for", b"forwarded"}
    )


def _is_this_machine(host: str) -> bool:
    """Whether a ``Host`` header names loopback; nobody else can make a name under localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(".localhost")


def _secrets(settings: Settings) -> str:
    """The section that ``st.login`` reads; a TOML string is written as JSON writes one."""
    values = {
        "redirect_uri": settings.sign_in_url,
        "cookie_secret": settings.oidc_cookie_secret,
        "client_id": settings.oidc_client_id,
        "client_secret": settings.oidc_client_secret,
        "server_metadata_url": settings.oidc_metadata_url,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(
        ["# Written when the app starts, from METERHOUSE_OIDC_*.", "[auth]", *lines, ""]
    )


def _write_privately(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=file.parent)  # mode 600 from the first byte
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as content:
            content.write(text)
        os.replace(draft, file)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
