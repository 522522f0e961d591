"""Addresses with more parameters than Streamlit reads are shortened instead of ignored.

Streamlit takes a query of more than 1,000 parameters for none at all, and the page would show
something else without a word. Such an address is led to its beginning, marked with ``cut``, which
the page tells of. No address that the app writes itself is as long.
"""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MOST_PARAMETERS = 900
CUT = "cut"
"""The parameter that says that others were left out."""


class ShortenAddress:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp) -> None:
        """``app`` answers whatever is short enough."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "GET":
            query = shortened(scope["query_string"].decode("latin-1"))
            if query is not None:
                await RedirectResponse(f"?{query}", status_code=303)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def shortened(query: str) -> str | None:
    """The query's first :data:`MOST_PARAMETERS` parameters and the mark; None if it is short."""
    parts = query.split("&")
    if len(parts) <= MOST_PARAMETERS:
        return None
    return "&".join([*parts[: MOST_PARAMETERS - 1], f"{CUT}=1"])
