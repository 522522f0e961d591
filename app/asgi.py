"""The server's entry: ``streamlit run app/asgi.py`` from the project's root.

Beside the pages it answers ``/healthz``, ``/readyz`` and ``/metrics``, the platform's API and the
routes of payment, hands out
exported files and receipts, and loads at start what the first visitor would otherwise wait for.
"""

import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

sys.path.append(str(Path(__file__).resolve().parent.parent))

import streamlit as st
from starlette.middleware import Middleware

from app import api, exports, metrics, payments, receipts, sign_in
from app.exports import close_export_desk
from app.guarded import Guarded
from app.long_address import ShortenAddress
from app.markup import Child, empty, join, support
from warehouse.errors import MeterhouseError
from warehouse.logs import configure_logging
from warehouse.settings import load_settings


@asynccontextmanager
async def warm_up(_: st.App) -> AsyncIterator[None]:
    """Load before the first visit what it would wait for: modules, and the published state."""
    import pandas  # noqa: F401

    from app import context, views

    configure_logging(load_settings())
    for module in iter_modules(views.__path__):
        import_module(f"app.views.{module.name}")
    try:
        context.shared_reader().open_published()
    except Exception as error:
        logging.getLogger("meterhouse.app").error("the lake cannot be opened yet: %s", error)
    gc.collect()
    gc.freeze()  # what lives as long as the server need not be searched for garbage: 0.1 s a time
    yield
    close_export_desk()


UNEXPECTED = (
    "Something unexpected happened. Load the page again. The server's log has the details; its "
    "admins find what is broken with meterhouse doctor."
)


def say_what_failed(error: Exception) -> bool:
    """In place of a traceback: what to do. The traceback itself goes to the log."""
    logging.getLogger("meterhouse.app").error("a page failed", exc_info=error)
    told = str(error) if isinstance(error, MeterhouseError) else UNEXPECTED
    more: Child = join(["If it stays so, ask: ", support(_settings)])
    st.html(empty("This page cannot be shown", told, more))
    return True


try:
    _settings = load_settings()
    sign_in.prepare(_settings)
except MeterhouseError as problem:
    sys.exit(f"meterhouse: {problem}")

ROUTES = [
    *metrics.routes,
    *exports.ROUTES,
    *payments.routes,
    *receipts.routes,
    *api.routes,
]

app = st.App(
    Path(__file__).resolve().parent / "main.py",
    routes=ROUTES,
    middleware=[
        Middleware(metrics.MeasureRequests, routes=ROUTES),
        Middleware(
            sign_in.OnlyLocal,
            is_open=_settings.has_sign_in or _settings.allow_remote_without_sign_in,
        ),
        Middleware(Guarded),
        Middleware(ShortenAddress),
    ],
    lifespan=warm_up,
    on_script_error=say_what_failed,
)
