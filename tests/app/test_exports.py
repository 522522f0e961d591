"""Exports through the server: made in the background, fetched once, by whoever asked."""

import csv
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from app import exports
from app.exports import ExportDesk, ExportJob, browser_of, start_export, unmasked
from app.gate import Gate, UnknownAccount
from app.lake import LakeReader
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings
from warehouse.usage.columns import Format
from warehouse.usage.selection import Selection

WEEK = Selection(date(2026, 11, 9), date(2026, 11, 16))
BROWSER = {"_streamlit_xsrf": "2|a1b2c3d4|00112233445566778899aabbccddeeff|1700000000"}
COOKIE = "; ".join(f"{name}={value}" for name, value in BROWSER.items())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExportDesk]:
    """A desk of the test's own in place of the server's."""
    made = ExportDesk(tmp_path / "exports")
    monkeypatch.setattr(exports, "export_desk", lambda: made)
    yield made
    made.close()


@pytest.fixture
def gate(reader: LakeReader, published: Settings, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate to the lake that the routes ask as well."""
    monkeypatch.setenv("METERHOUSE_HOME", str(published.home))
    return Gate(reader, reader.publication())


@pytest.fixture
def server(desk: ExportDesk) -> Iterator[int]:
    """The port of a real server with the app's routes."""
    with serving() as port:
        yield port


@contextmanager
def serving() -> Iterator[int]:
    config = uvicorn.Config(Starlette(routes=exports.ROUTES), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def finished(job: ExportJob) -> ExportJob:
    """The job once it is no longer worked on."""
    deadline = time.monotonic() + 120
    while job.state in ("waiting", "running") and time.monotonic() < deadline:
        time.sleep(0.01)
    return job


def ready(gate: Gate, output: Format = Format.CSV, selection: Selection = WEEK) -> ExportJob:
    job = finished(start_export(gate, "acme", selection, output, BROWSER))
    assert job.state == "ready", job.error
    return job


def get(
    port: int, link: str | None, *, cookie: str = COOKIE, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    assert link is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, link, headers={"Cookie": cookie})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def rows_of(gate: Gate, account_id: str = "acme") -> list[tuple[Any, ...]]:
    """Id and credits of the week's events, asked of the lake."""
    reader = gate._reader
    return reader.rows(
        "select event_id, credits from marts.main.rpt_usage_event where account_id = $account_id"
        " and usage_date >= date '2026-11-09' and usage_date < date '2026-11-16'"
        " order by occurred_at, source, event_id",
        {"account_id": account_id},
        publication=gate.publication,
    )


def test_a_file_is_fetched_once_and_then_gone(gate: Gate, server: int, tmp_path: Path):
    job = ready(gate)
    link = job.link
    status, headers, body = get(server, link)
    assert status == 200
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-length"] == str(len(body)) == str(job.size_bytes)
    assert headers["cache-control"] == "no-store"
    assert headers["content-disposition"] == (
        'attachment; filename="usage_acme_2026-11-09_to_2026-11-15.csv"'
    )
    found = list(csv.DictReader(body.decode().splitlines()))
    assert [(row["event_id"], Decimal(row["credits"])) for row in found] == rows_of(gate)
    assert job.rows == len(found)
    assert list((tmp_path / "exports").iterdir()) == []

    status, _, body = get(server, link)
    assert (status, body) == (410, b"This link was used already. Make the export again.\n")
    assert job.link is None


@pytest.mark.parametrize("output", list(Format))
def test_each_format_says_what_it_is(gate: Gate, server: int, output: Format):
    status, headers, body = get(server, ready(gate, output).link)
    assert status == 200
    assert headers["content-disposition"].endswith(f'.{output}"')
    assert body[:4] == {"csv": b"occu", "parquet": b"PAR1", "xlsx": b"PK\x03\x04"}[output]


def test_a_made_up_link_leads_nowhere(gate: Gate, server: int):
    ready(gate)
    for link in ("/exports/acme/x", "/exports/acme/..%2f..%2fetc%2fpasswd", "/exports/%00/%00"):
        assert get(server, link)[0] == 404


def test_a_link_is_of_no_use_to_another_account_or_browser(gate: Gate, server: int):
    job = ready(gate)
    assert job.link is not None
    other = "_streamlit_xsrf=2|a1b2c3d4|ffffffffffffffffffffffffffffffff|1700000000"
    assert get(server, job.link.replace("/acme/", "/tokyo/"))[0] == 403
    assert get(server, job.link, cookie=other)[0] == 403
    assert get(server, job.link, cookie="")[0] == 403
    assert get(server, job.link)[0] == 200, "what was refused did not use it up"


def test_a_browser_is_known_again_when_its_cookie_is_masked_anew():
    token = bytes.fromhex(unmasked(BROWSER["_streamlit_xsrf"]))
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(token))
    again = {"_streamlit_xsrf": f"2|{mask.hex()}|{masked.hex()}|1700000999"}
    assert browser_of(again) == browser_of(BROWSER)
    assert browser_of({}) != browser_of(BROWSER)
    assert browser_of({**BROWSER, "_streamlit_user": "someone"}) != browser_of(BROWSER)
    assert browser_of({"_streamlit_xsrf": "2||ab|"}) != browser_of(BROWSER)


def test_looking_at_a_link_does_not_use_it_up(gate: Gate, server: int):
    job = ready(gate)
    status, headers, body = get(server, job.link, method="HEAD")
    assert (status, headers["content-length"], body) == (200, str(job.size_bytes), b"")
    assert get(server, job.link)[0] == 200


def test_a_download_that_breaks_off_leaves_nothing_and_cannot_be_repeated(
    gate: Gate, server: int, tmp_path: Path
):
    job = ready(gate, selection=Selection(date(2026, 8, 1), date(2026, 12, 1)))
    link = job.link
    assert link is not None
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=120)
    connection.request("GET", link, headers={"Cookie": COOKIE})
    answer = connection.getresponse()
    assert answer.read(1000)
    connection.close()
    assert list((tmp_path / "exports").iterdir()) == []
    assert get(server, link)[0] == 410


def test_a_link_expires(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    desk = ExportDesk(tmp_path / "exports", clock=lambda: now[0])
    monkeypatch.setattr(exports, "export_desk", lambda: desk)
    with serving() as port:
        job = ready(gate)
        link = job.link
        now[0] = exports.LINK_SECONDS + 1
        assert get(port, link)[::2] == (410, b"This link has expired. Make the export again.\n")
        assert job.state == "expired"
        assert list((tmp_path / "exports").iterdir()) == []
        now[0] = 3 * exports.LINK_SECONDS
        assert get(port, link)[0] == 404, "old tickets are forgotten"
    desk.close()


def test_only_accounts_that_may_be_seen_can_be_exported(gate: Gate, desk: ExportDesk):
    for account_id in ("nobody", "acme' or '1'='1", ""):
        with pytest.raises(UnknownAccount):
            start_export(gate, account_id, WEEK, Format.CSV, BROWSER)


def test_an_export_that_is_cancelled_leaves_nothing(
    gate: Gate, desk: ExportDesk, tmp_path: Path, slow: Callable[[], None]
):
    job = start_export(gate, "acme", WEEK, Format.CSV, BROWSER)
    job.cancel()
    slow()
    desk.close()
    assert job.state == "cancelled"
    assert job.link is None
    assert not (tmp_path / "exports").exists()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Holds every export before its first row until it is called."""
    release = threading.Event()
    real = exports.export_usage

    def held(*arguments: Any, **named: Any) -> Any:
        release.wait(30)
        return real(*arguments, **named)

    monkeypatch.setattr(exports, "export_usage", held)
    return release.set


def test_exports_that_are_too_many_are_refused_and_others_wait(
    gate: Gate, desk: ExportDesk, slow: Callable[[], None]
):
    jobs = [start_export(gate, "acme", WEEK, Format.CSV, BROWSER) for _ in range(exports.OPEN_JOBS)]
    with pytest.raises(MeterhouseError, match="too many exports"):
        start_export(gate, "acme", WEEK, Format.CSV, BROWSER)
    for job in jobs[4:]:
        job.cancel()
    slow()
    assert [finished(job).state for job in jobs[:4]] == ["ready"] * 4
    assert start_export(gate, "acme", WEEK, Format.CSV, BROWSER).is_open


def test_an_export_that_fails_says_why(gate: Gate, desk: ExportDesk, tmp_path: Path, server: int):
    (tmp_path / "exports").write_text("a file where the folder belongs")
    job = finished(start_export(gate, "acme", WEEK, Format.CSV, BROWSER))
    assert job.state == "failed"
    assert job.error
    assert job.link is None
    assert get(server, f"/exports/acme/{job.ticket}")[0] == 410
    (tmp_path / "exports").unlink()


def test_what_a_server_that_died_left_behind_is_removed(tmp_path: Path):
    left = tmp_path / "here-999999999"
    others = tmp_path / "elsewhere-999999999"
    for folder in (left, others):
        folder.mkdir()
        (folder / "file").touch()
    exports.remove_leftovers(tmp_path, "here")
    assert not left.exists()
    assert others.exists()


def test_nothing_is_exported_before_publishing(reader: LakeReader, published: Settings):
    gate = Gate(reader, None)
    with pytest.raises((MeterhouseError, ValueError), match="nothing is published"):
        start_export(gate, "acme", WEEK, Format.CSV, BROWSER)
