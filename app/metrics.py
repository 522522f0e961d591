"""``/metrics`` for Prometheus and ``/readyz``: how the warehouse and this server are.

Figures of lakes and store are read at most every five seconds, at the head, by the connections that
the pages use. No label names an account, an agent or a person.
"""

import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import query_times
from app.api import refusal
from app.context import shared_reader, shared_store
from app.lake import LakeReader
from billing.alerts.outbox import waiting
from billing.store import current_revision, store_exists
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings, load_settings
from warehouse.status import HELD_BY_REASON, LATEST_CHECKS

KEPT_SECONDS = 5.0

_LOG = logging.getLogger("meterhouse.app")

LOCAL_FAMILIES = {
    "published": (
        "meterhouse_published_timestamp_seconds",
        "When the shown snapshot was published, in seconds since 1970; 0 before the first.",
    ),
    "age": (
        "meterhouse_published_age_seconds",
        "How old the shown snapshot is; it grows also while nothing new was loaded.",
    ),
    "lag": (
        "meterhouse_load_id_lag",
        "Batches of raw above the one that is published; 0 means that all is shown as settled.",
    ),
    "pending": (
        "meterhouse_pending_events",
        "Usage rows loaded and not yet published, corrections included.",
    ),
    "publishing": (
        "meterhouse_publication_delay_seconds",
        "From the end of the newest published load to its publication: queue, build and checks.",
    ),
    "checking": (
        "meterhouse_build_to_publication_seconds",
        "From the end of the published build to its publication: how long the checks took.",
    ),
    "loads": (
        "meterhouse_loads",
        "Batches of files by state: published, pending, or with rejected rows (counted again).",
    ),
    "rows": (
        "meterhouse_load_rows",
        "Rows of files by outcome since the first load: loaded, duplicate, rejected.",
    ),
    "quarantine": (
        "meterhouse_quarantine_rows",
        "Rows still in quarantine by reason.",
    ),
    "checks": (
        "meterhouse_failed_checks",
        "Failed checks of the last checked state by severity: error blocks publishing, warn not.",
    ),
    "outbox": (
        "meterhouse_outbox_messages",
        "Messages by state: waiting (to be sent, or sent again), sent, given_up.",
    ),
    "outbox_age": (
        "meterhouse_outbox_oldest_waiting_seconds",
        "How long the oldest waiting message has waited; 0 when none does.",
    ),
    "reads": (
        "meterhouse_head_answers",
        "Questions to the head by whether the answer was kept (hit) or asked for (miss).",
    ),
    "up": (
        "meterhouse_part_up",
        "Whether a part (lakes, store) could be asked for these figures: 1 or 0.",
    ),
}
"""Name and help of what is read from lakes and store, by a short name."""


@dataclass(frozen=True)
class Sample:
    """One figure: the family's short name, its value, and its label if it has one."""

    family: str
    value: float
    label: str | None = None


_LABELS = {
    "loads": "state",
    "rows": "outcome",
    "quarantine": "reason",
    "checks": "severity",
    "outbox": "state",
    "reads": "outcome",
    "up": "part",
}


def lake_samples(reader: LakeReader, now: datetime) -> Iterator[Sample]:
    """The figures of both lakes; those of a lake that does not exist yet are zero or left out."""
    published = reader.publication()
    reached = published.raw_load_id if published else 0
    at = published.published_at if published else None
    yield Sample("published", at.timestamp() if at else 0.0)
    if at:
        yield Sample("age", max((now - at).total_seconds(), 0.0))
    if reader.has_table("raw.main.load"):
        yield from _loads(reader, reached, at)
    if published and reader.has_table("marts.meta.build"):
        rows = reader.head_rows(
            "marts",
            "select max(built_at) from marts.meta.build"
            f" where marts_snapshot = {published.marts_snapshot}",
        )
        if rows[0][0]:
            built = rows[0][0].replace(tzinfo=UTC)
            yield Sample("checking", (published.published_at - built).total_seconds())
    failed = {"error": 0, "warn": 0}
    if reader.has_table("marts.meta.check_result"):
        for row in reader.head_rows("marts", LATEST_CHECKS):
            if not row[4]:
                failed[row[3]] = failed.get(row[3], 0) + 1
    for severity, count in failed.items():
        yield Sample("checks", count, severity)
    yield Sample("reads", reader.answers_kept, "hit")
    yield Sample("reads", reader.answers_asked, "miss")


def _loads(reader: LakeReader, reached: int, at: datetime | None) -> Iterator[Sample]:
    ((newest, settled, pending, faulty, loaded, duplicate, rejected, finished),) = reader.head_rows(
        "raw",
        f"""
        with batches as (select *, kind in ('file', 'replay') as is_usage from raw.main.load)
        select max(load_id),
            count(*) filter (where is_usage and load_id <= {reached}),
            count(*) filter (where is_usage and load_id > {reached}),
            count(*) filter (where is_usage and rows_rejected > 0),
            sum(rows_loaded) filter (where kind = 'file'),
            sum(rows_duplicate) filter (where kind = 'file'),
            sum(rows_rejected) filter (where kind = 'file'),
            max(finished_at) filter (where is_usage and load_id <= {reached})
        from batches
        """,
    )
    yield Sample("lag", max((newest or 0) - reached, 0))
    for state, count in (("published", settled), ("pending", pending), ("with_rejected", faulty)):
        yield Sample("loads", count, state)
    for outcome, count in (
        ("loaded", loaded),
        ("duplicate", duplicate),
        ("rejected", rejected),
    ):
        yield Sample("rows", count or 0, outcome)
    if at and finished:
        delay = (at - finished.replace(tzinfo=UTC)).total_seconds()
        yield Sample("publishing", max(delay, 0.0))
    if reader.has_table("raw.main.usage_event"):
        ((events,),) = reader.head_rows(
            "raw", f"select count(*) from raw.main.usage_event where load_id > {reached}"
        )
        yield Sample("pending", events)
    if reader.has_table("raw.main.usage_quarantine_release"):
        held = reader.head_rows("raw", HELD_BY_REASON)
        for reason, count in held:
            yield Sample("quarantine", count, reason)


def store_samples(settings: Settings, now: datetime) -> Iterator[Sample]:
    """The figures of the operational store; none while there is no store."""
    if not store_exists(settings):
        return
    found = waiting(shared_store(settings))
    yield Sample("outbox", found.waiting, "waiting")
    yield Sample("outbox", found.sent, "sent")
    yield Sample("outbox", found.given_up, "given_up")
    since = (now - found.oldest_at).total_seconds() if found.oldest_at else 0.0
    yield Sample("outbox_age", max(since, 0.0))


def all_samples() -> list[Sample]:
    """Every figure; a part that cannot be asked is down, and the others are told all the same."""
    now, settings = datetime.now(UTC), load_settings()
    parts: tuple[tuple[str, Callable[[], Iterable[Sample]]], ...] = (
        ("lakes", lambda: lake_samples(shared_reader(), now)),
        ("store", lambda: store_samples(settings, now)),
    )
    samples: list[Sample] = []
    for name, ask in parts:
        try:
            samples += list(ask())
            samples.append(Sample("up", 1, name))
        except Exception as error:
            _LOG.error("the %s cannot be asked for metrics: %s", name, error)
            samples.append(Sample("up", 0, name))
    return samples


def families(samples: Sequence[Sample]) -> Iterator[Metric]:
    """Samples as Prometheus has them, each family with its help, also the empty ones."""
    for short, (name, text) in LOCAL_FAMILIES.items():
        label = _LABELS.get(short)
        kind = CounterMetricFamily if short in ("rows", "reads") else GaugeMetricFamily
        family = kind(name, text, labels=[label] if label else None)
        for sample in samples:
            if sample.family == short:
                family.add_metric([sample.label] if sample.label else [], sample.value)
        yield family


class WarehouseCollector(Collector):
    """Asks for the figures when Prometheus does, and not again within :data:`KEPT_SECONDS`."""

    def __init__(self, ask: Callable[[], list[Sample]] = all_samples) -> None:
        """``ask`` reads the figures."""
        self._ask = ask
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._asked_at = float("-inf")

    def describe(self) -> Iterator[Metric]:
        """The families without figures: nothing is read to be registered."""
        return families([])

    def collect(self) -> Iterator[Metric]:
        """The families with figures at most :data:`KEPT_SECONDS` old."""
        with self._lock:
            if time.monotonic() - self._asked_at >= KEPT_SECONDS:
                self._samples = self._ask()
                self._asked_at = time.monotonic()
            return families(self._samples)


registry = CollectorRegistry()
registry.register(WarehouseCollector())
registry.register(query_times.durations)
registry.register(query_times.busy_seconds)
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)
GCCollector(registry=registry)

requests = Counter(
    "meterhouse_http_requests",
    "Requests answered, by route (not address), method and status.",
    ["route", "method", "status"],
    registry=registry,
)
durations = Histogram(
    "meterhouse_http_request_duration_seconds",
    "From a request to the end of its answer, by route; pages are drawn over the websocket.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=registry,
)
sessions = Gauge(
    "meterhouse_open_websockets",
    "Browser windows that are connected now.",
    registry=registry,
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MeasureRequests:
    """ASGI middleware that counts and times requests by route."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        """``routes`` are the app's own; what is none of them is the server's or a page."""
        self._app = app
        self._routes = [route for route in routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count it also when it fails."""
        if scope["type"] == "websocket":
            with sessions.track_inprogress():
                await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            route = route_of(scope["path"], self._routes)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            requests.labels(route, method, str(status)).inc()
            durations.labels(route).observe(time.perf_counter() - began)


def route_of(path: str, routes: Iterable[Route]) -> str:
    """The route of an address, one of few: ids and names in it are no part of it."""
    for route in routes:
        if route.path_regex.match(path):
            return route.path_format
    for prefix in ("/_stcore", "/static", "/app/static", "/media", "/component"):
        if path == prefix or path.startswith(f"{prefix}/"):
            return f"{prefix}/…"
    return "page"


async def metrics(request: Request) -> Response:
    """GET /metrics: the text format of Prometheus, to whom :func:`may_read` lets."""
    refused = may_read(request, load_settings().metrics_token)
    if refused is not None:
        return refused
    text = await run_in_threadpool(generate_latest, registry)
    return Response(
        text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    )


def may_read(request: Request, token: str) -> Response | None:
    """Why somebody may not read the metrics: no token, or none is set and they come from outside.

    What a proxy on this machine passes on comes from outside.
    """
    if token:
        return refusal(token, request.headers.get("authorization"))
    passed_on = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "via"))
    if request.client is not None and _is_loopback(request.client.host) and not passed_on:
        return None
    return PlainTextResponse(
        "Metrics are for this machine alone until METERHOUSE_METRICS_TOKEN is set; then send it "
        "as `Authorization: Bearer <token>`.\n",
        status_code=403,
    )


async def healthz(_: Request) -> PlainTextResponse:
    """``ok`` while the server answers; it asks no lake. If it fails, restart the server."""
    return PlainTextResponse("ok")


async def readyz(_: Request) -> PlainTextResponse:
    """``ready`` while lakes and store answer, else 503: send nobody here, and restart nothing."""
    try:
        await run_in_threadpool(_ask_all)
    except Exception as error:
        _LOG.error("not ready: %s", error)
        which = "settings or data" if isinstance(error, MeterhouseError) else "a part"
        return PlainTextResponse(
            f"not ready: {which} cannot be used; the server's log tells what", status_code=503
        )
    return PlainTextResponse("ready")


def _ask_all() -> None:
    settings = load_settings()
    shared_reader().publication()
    if store_exists(settings):
        current_revision(shared_store(settings))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
