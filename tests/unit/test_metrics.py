"""Metrics: which there are, who may read them, and how requests are counted."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app import metrics
from app.lake import LakeReader
from app.metrics import (
    LOCAL_FAMILIES,
    MeasureRequests,
    Sample,
    WarehouseCollector,
    families,
    may_read,
    route_of,
)
from app.query_times import time_store, timed
from warehouse.errors import MeterhouseError
from warehouse.publication import Publication
from warehouse.settings import ROOT, Settings

FROM_HTTP = (
    "meterhouse_http_requests",
    "meterhouse_http_request_duration_seconds",
    "meterhouse_open_websockets",
    "meterhouse_query_duration_seconds",
    "meterhouse_query_busy_seconds",
)


def request(host: str = "127.0.0.1", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "client": (host, 5)})


async def nothing(_: Request) -> PlainTextResponse:
    return PlainTextResponse("")


ROUTES = [Route("/healthz", nothing), Route("/v1/accounts/{account_id:path}/balance", nothing)]


@pytest.fixture
def own_registry() -> CollectorRegistry:
    """The metrics with no lake behind them."""
    registry = CollectorRegistry()
    registry.register(WarehouseCollector(lambda: [Sample("lag", 3), Sample("up", 1, "lakes")]))
    return registry


def test_each_metric_has_a_help_text_and_is_in_the_documentation() -> None:
    documented = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    names = [name for name, _ in LOCAL_FAMILIES.values()] + list(FROM_HTTP)
    assert len(set(names)) == len(names)
    for metric in families([]):
        assert len(metric.documentation) > 20, metric.name
    for name in names:
        assert f"`{name}" in documented, name


def test_what_is_told_is_the_text_format_of_prometheus(own_registry: CollectorRegistry) -> None:
    text = generate_latest(own_registry).decode()
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found.keys() == {name for name, _ in LOCAL_FAMILIES.values()}
    assert [sample.value for sample in found["meterhouse_load_id_lag"].samples] == [3]
    assert found["meterhouse_part_up"].samples[0].labels == {"part": "lakes"}
    assert found["meterhouse_load_rows"].type == "counter"


def test_figures_are_asked_for_once_in_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now[0])
    collector = WarehouseCollector(lambda: asked.append(1) or [])  # type: ignore[func-returns-value]
    for moment, times in ((100.0, 1), (104.9, 1), (105.0, 2)):
        now[0] = moment
        list(collector.collect())
        assert len(asked) == times


def test_a_part_that_cannot_be_asked_is_told_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(metrics, "shared_reader", fails)
    monkeypatch.setattr(metrics, "store_samples", lambda *_: [Sample("outbox", 2, "waiting")])
    assert metrics.all_samples() == [
        Sample("up", 0, "lakes"),
        Sample("outbox", 2, "waiting"),
        Sample("up", 1, "store"),
    ]


class Lakes:
    """A reader that knows its answers by a word of the question."""

    answers_kept, answers_asked = 8, 2

    def __init__(self, published: Publication | None, answers: dict[str, Any]) -> None:
        self.published, self.answers = published, answers

    def publication(self) -> Publication | None:
        return self.published

    def has_table(self, table: str) -> bool:
        return any(word in table for word in self.answers)

    def head_rows(self, _: str, sql: str) -> Any:
        return next(rows for word, rows in self.answers.items() if word in sql)


def test_an_empty_home_has_figures_too() -> None:
    found = list(metrics.lake_samples(Lakes(None, {}), datetime(2026, 11, 1, tzinfo=UTC)))  # type: ignore[arg-type]
    assert Sample("published", 0) in found and Sample("checks", 0, "error") in found


def test_ages_lags_and_counts_are_those_of_the_lakes() -> None:
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    done = datetime(2026, 11, 1, 11, 58)
    lakes = Lakes(
        Publication(1, at, 40, 7, 5),
        {
            "meta.build": [(datetime(2026, 11, 1, 11, 59, 30),)],
            "check_result": [
                (at, "dbt", "a", "error", False, 1, ""),
                (at, "dbt", "b", "warn", False, 1, ""),
                (at, "dbt", "c", "warn", True, 0, ""),
            ],
            "usage_event where": [(17,)],
            "usage_quarantine": [("missing_field", 4)],
            "raw.main.load": [(9, 4, 3, 1, 100, 5, 2, done)],
            "usage_event": [],
        },
    )
    found = set(metrics.lake_samples(lakes, at + timedelta(minutes=5)))  # type: ignore[arg-type]
    assert found >= {
        Sample("age", 300),
        Sample("lag", 4),
        Sample("pending", 17),
        Sample("publishing", 120),
        Sample("checking", 30),
        Sample("loads", 4, "published"),
        Sample("loads", 3, "pending"),
        Sample("rows", 100, "loaded"),
        Sample("quarantine", 4, "missing_field"),
        Sample("checks", 1, "error"),
        Sample("checks", 1, "warn"),
        Sample("reads", 8, "hit"),
    }


@pytest.mark.parametrize(
    ("asking", "token", "status"),
    [
        (request(), "", None),
        (request("::1"), "", None),
        (request("10.0.0.5"), "", 403),
        (request("testclient"), "", 403),
        (request(x_forwarded_for="10.0.0.5"), "", 403),
        (request(forwarded="for=10.0.0.5"), "", 403),
        (request(), "token-1", 401),
        (request("10.0.0.5", authorization="Bearer token-2"), "token-1", 401),
        (request("10.0.0.5", authorization="Bearer token-1"), "token-1", None),
    ],
)
def test_metrics_are_for_this_machine_or_for_who_has_the_token(
    asking: Request, token: str, status: int | None
) -> None:
    refused = may_read(asking, token)
    assert (refused and refused.status_code) == status


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/healthz", "/healthz"),
        ("/v1/accounts/acme/balance", "/v1/accounts/{account_id}/balance"),
        ("/v1/accounts/a/b/balance", "/v1/accounts/{account_id}/balance"),
        ("/_stcore/health", "/_stcore/…"),
        ("/static/js/main.js", "/static/…"),
        ("/usage", "page"),
        ("/../../etc/passwd", "page"),
    ],
)
def test_an_address_counts_under_its_route_without_ids(path: str, route: str) -> None:
    assert route_of(path, ROUTES) == route


def counted(route: str, method: str, status: str) -> float:
    labels = {"route": route, "method": method, "status": status}
    return metrics.requests.labels(**labels)._value.get()


@pytest.mark.parametrize(("fails", "status"), [(False, "200"), (True, "500")])
def test_each_request_is_counted_once_also_one_that_fails(fails: bool, status: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if fails:
            raise ValueError("boom")
        await PlainTextResponse("ok")(scope, receive, send)

    async def send(_: Any) -> None:
        return

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "path": "/usage", "method": "BREW", "headers": []}
    before = counted("page", "other", status)
    measured = MeasureRequests(app, ROUTES)
    try:
        asyncio.run(measured(scope, receive, send))
    except ValueError:
        assert fails
    assert counted("page", "other", status) == before + 1


def test_a_server_lives_while_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise MeterhouseError("the database at 10.0.0.9 is down")

    monkeypatch.setattr(metrics, "shared_reader", fails)
    answer = asyncio.run(metrics.readyz(request()))
    assert answer.status_code == 503
    assert b"not ready" in answer.body and b"10.0.0.9" not in answer.body
    assert asyncio.run(metrics.healthz(request())).body == b"ok"


def asked(place: str) -> tuple[float, float]:
    """How many questions were counted there, and their seconds."""
    name, labels = "meterhouse_query_duration_seconds", {"place": place}
    count, seconds = (
        metrics.registry.get_sample_value(f"{name}_{part}", labels) for part in ("count", "sum")
    )
    return count or 0.0, seconds or 0.0


def test_each_question_to_lakes_and_store_is_timed(tmp_path: Path) -> None:
    places = ("published", "head", "store")
    before = {place: asked(place) for place in places}
    reader = LakeReader(Settings(home=tmp_path))
    assert reader.rows("select 1", {}) == [(1,)]
    with pytest.raises(duckdb.CatalogException):
        reader.rows("select * from nothing", {})
    reader.close()
    engine = sa.create_engine("sqlite://")
    time_store(engine)
    with engine.connect() as connection:
        connection.execute(sa.text("select 1"))
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("select * from nothing"))
    engine.dispose()
    after = {place: asked(place) for place in places}
    assert [after[place][0] - before[place][0] for place in places] == [0, 2, 2]
    assert after["head"][1] > before["head"][1]


def test_questions_at_the_same_time_are_busy_once() -> None:
    name = "meterhouse_query_busy_seconds_total"
    before = metrics.registry.get_sample_value(name) or 0.0
    started = time.perf_counter()
    with timed("head"), timed("published"):
        time.sleep(0.02)
    taken = time.perf_counter() - started
    busy = (metrics.registry.get_sample_value(name) or 0.0) - before
    assert 0.02 <= busy <= taken
