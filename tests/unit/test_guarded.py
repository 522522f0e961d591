"""Who reaches an app without sign-in, and what no answer of the app leaves open."""

import asyncio
from typing import Any

import pytest

from app.guarded import Guarded
from app.sign_in import OnlyLocal

HERE = ("127.0.0.1", 8501)


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """An app that answers everything, with a policy of its own where the path asks for one."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    own = [(b"content-security-policy", b"default-src 'none'")] if scope["path"] == "/own" else []
    await send({"type": "http.response.start", "status": 200, "headers": own})
    await send({"type": "http.response.body", "body": b"the books"})


def ask(app: Any, path: str = "/", kind: str = "http", **scope: Any) -> list[dict[str, Any]]:
    """What an ASGI app sends for a request to it."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    host = (b"host", scope.pop("host", "127.0.0.1:8501").encode())
    headers = [host, *scope.pop("headers", [])]
    request = {"type": kind, "method": "GET", "path": path, "headers": headers}
    asyncio.run(app({**request, "client": HERE, "server": HERE, **scope}, None, send))
    return sent


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501", "two.localhost:80"]
)
def test_without_sign_in_this_machine_is_answered(host: str) -> None:
    app = OnlyLocal(answering, is_open=False)
    assert ask(app, host=host)[0]["status"] == 200
    assert ask(app, kind="websocket", host=host)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"client": ("10.0.0.5", 1)},
        {"server": ("10.0.0.5", 8501)},
        {"headers": [(b"x-forwarded-for", b"127.0.0.1")]},
        {"headers": [(b"forwarded", b"for=127.0.0.1")]},
        {"host": "evil.example:8501"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "evil.example@localhost.evil.example"},
        {"host": "[::1"},
        {"host": ""},
    ],
)
def test_without_sign_in_nobody_else_is_answered(elsewhere: dict[str, Any]) -> None:
    """Neither who comes from elsewhere, nor a page whose name was made to lead to loopback."""
    app = OnlyLocal(answering, is_open=False)
    assert ask(app, **elsewhere)[0]["status"] == 403
    assert ask(app, kind="websocket", **elsewhere)[0]["type"] == "websocket.close"
    assert ask(OnlyLocal(answering, is_open=True), **elsewhere)[0]["status"] == 200


def test_no_other_site_frames_a_page() -> None:
    def policy(path: str) -> list[bytes]:
        headers = ask(Guarded(answering), path)[0]["headers"]
        return [value for name, value in headers if name == b"content-security-policy"]

    assert policy("/") == [b"frame-ancestors 'self'"]
    assert policy("/own") == [b"default-src 'none'"]


def test_statistics_of_the_server_are_told_to_nobody() -> None:
    for path in ("/_stcore/metrics", "/_stcore/metrics/"):
        assert ask(Guarded(answering), path)[0]["status"] == 404
    assert ask(Guarded(answering), "/_stcore/health")[0]["status"] == 200
