"""What the server's own routes leave open is closed here, for every answer."""

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATISTICS = "/_stcore/metrics"
"""Streamlit's own figures: names of our functions, sessions, sizes that take a second to add up."""

_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Guarded:
    """ASGI middleware: no other site frames a page, and Streamlit's statistics are not there.

    A page that is framed can be clicked by who does not see it. ``/metrics`` has what an operator
    needs, for whom a token or this machine lets in.
    """

    def __init__(self, app: ASGIApp) -> None:
        """``app`` answers; a header that it sets itself stays."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        is_closed = scope["path"].rstrip("/") == STATISTICS
        app = PlainTextResponse("Not found\n", 404) if is_closed else self._app
        await app(scope, receive, guarded)
