"""A small OIDC provider on loopback: authorization code with PKCE, signed tokens, one click to be
anybody. It is as strict as a real one about client, secret, redirect address and code.

The people are its ``people``: claims by address. What it was asked stands in ``asked``.
"""

import hashlib
import secrets
import socket
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "meterhouse", "a client's secret & more"


@dataclass
class OidcServer:
    """A provider; ``url`` is its issuer once it runs."""

    url: str = ""
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "test"}))

    def add(self, email: str, *, verified: Any = True, **claims: Any) -> None:
        """A person who can sign in."""
        self.people[email] = {"email": email, "email_verified": verified, **claims}

    def variables(self, redirect: str) -> dict[str, str]:
        """The settings of an app that signs in here."""
        return {
            "METERHOUSE_OIDC_METADATA_URL": f"{self.url}/.well-known/openid-configuration",
            "METERHOUSE_OIDC_CLIENT_ID": CLIENT_ID,
            "METERHOUSE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "METERHOUSE_OIDC_COOKIE_SECRET": "0123456789abcdef" * 3,
            "METERHOUSE_OIDC_REDIRECT_URL": redirect,
        }

    async def metadata(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "end_session_endpoint": f"{self.url}/logout",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request: Request) -> Response:
        """A page with a button a person; ``?as=`` is the button."""
        asked = dict(request.query_params)
        self.asked.append("authorize")
        if asked.get("client_id") != CLIENT_ID:
            return HTMLResponse("<h1>unknown client</h1>", 400)
        who = asked.pop("as", None)
        if who is None:
            links = "".join(
                f'<p><a id="{escape(email)}" href="/authorize?{escape(urlencode(asked))}'
                f'&as={escape(email)}">{escape(email)}</a></p>'
                for email in self.people
            )
            return HTMLResponse(f"<h1>Who are you?</h1>{links}")
        code = secrets.token_urlsafe()
        self.codes[code] = {**asked, "who": who}
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 302)

    async def token(self, request: Request) -> Response:
        self.asked.append("token")
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        client, _, secret = urlsafe_b64decode(given).decode().partition(":")
        if (kind, unquote(client), unquote(secret)) != ("Basic", CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or asked["redirect_uri"] != form.get("redirect_uri")
            or asked["code_challenge"] != challenge
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": f"sub-{asked['who']}",
            "nonce": asked.get("nonce"),
            "iat": now,
            "exp": now + 300,
            **self.people[asked["who"]],
        }
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.key)
        return JSONResponse(
            {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": token}
        )

    async def logout(self, request: Request) -> Response:
        self.asked.append("logout")
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 302)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/jwks", self.jwks),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/logout", self.logout),
            ]
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running_oidc() -> Iterator[OidcServer]:
    """A provider that runs until the block ends."""
    provider = OidcServer()
    listening = socket.create_server(("127.0.0.1", 0))
    provider.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(provider.app(), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield provider
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
