"""One lake, one browser, and one server a mode (with and without sign-in) for the session."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.accounts import list_accounts
from billing.store import open_store
from tests.app.reporting_lake import make_invoices, make_lake, make_store
from tests.e2e.house import House, open_house
from tests.oidc_server import free_port
from warehouse.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300
METERHOUSE = str(Path(sys.executable).with_name("meterhouse"))
SAMPLE = ["sample", "--accounts", "3", "--days", "40", "--events", "3000", "--clean"]


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of the published lake with lots and invoices that the servers show."""
    settings = Settings(home=tmp_path_factory.mktemp("e2e"), payments="demo")
    make_lake(settings)
    make_store(settings)
    make_invoices(settings)
    return settings


@pytest.fixture(scope="session")
def server(lake: Settings) -> Iterator[str]:
    """The address of the app, really started as ``meterhouse up`` starts it."""
    with serving(lake, METERHOUSE_PAYMENTS="demo") as url:
        yield url


@pytest.fixture(scope="session")
def house(lake: Settings) -> Iterator[House]:
    """The app over the same lake, with a provider by which people sign in."""
    with open_house(lake, serving) as house:
        yield house


@contextmanager
def serving(settings: Settings, port: int | None = None, **variables: str) -> Iterator[str]:
    """The address of an app over a home, started until the block ends."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app/asgi.py", "--server.port", str(port)]
    variables["METERHOUSE_APP_PORT"] = str(port)
    with running(settings, command, **variables) as process:
        _wait_until_healthy(url, process)
        yield url


@contextmanager
def running(
    settings: Settings, command: list[str], **variables: str
) -> Iterator["subprocess.Popen[str]"]:
    """A command over a home in a process of its own, ended with the block."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "METERHOUSE_HOME": str(settings.home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A browser; the tests are skipped where there is none."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    from tests.e2e.browser import CHROMIUM, started_browser

    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}; METERHOUSE_CHROMIUM names another")
    with started_browser() as browser:
        yield browser


def _wait_until_healthy(url: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output = process.stdout.read() if process.stdout else ""
            raise AssertionError(f"the app ended at its start:\n{output}")
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
                if answer.read() == b"ok":
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the app was not there after {START_SECONDS} s")


@pytest.fixture(scope="session")
def home(browser, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a home with published sample usage and lots."""
    settings = Settings(home=tmp_path_factory.mktemp("live"))
    for arguments in (SAMPLE, ["load"], ["refresh"]):
        done = subprocess.run(
            [METERHOUSE, *arguments],
            cwd=ROOT,
            env={**os.environ, "METERHOUSE_HOME": str(settings.home)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return settings


@pytest.fixture(scope="session")
def account(home: Settings) -> str:
    """An account of the sample that has credits left."""
    with open_store(home) as store:
        return list_accounts(store)[0].account_id


@pytest.fixture(scope="session")
def live(home: Settings) -> Iterator[str]:
    """The address of an app with the resident loader beside it."""
    with serving(home, METERHOUSE_PAYMENTS="demo") as url:
        with running(home, [METERHOUSE, "watch"]) as watch:
            assert watch.stdout is not None
            assert "watching" in watch.stdout.readline()
            yield url


def drop(home: Settings, account: str, credits: str, agent: str = "writer") -> None:
    """Let a whole file with one operation arrive in the landing folder."""
    folder = home.landing_folder / "meterhouse"
    stamp = time.time_ns()
    event = {
        "event_id": f"live-{stamp}",
        "account_id": account,
        "agent_id": agent,
        "category": "llm",
        "model": "gpt-5",
        "credits": credits,
        "occurred_at": datetime.now(UTC).isoformat(),
    }
    draft = folder / f"live-{stamp}.ndjson.tmp"
    draft.write_text(json.dumps(event) + "\n", encoding="utf-8")
    draft.rename(folder / f"live-{stamp}.ndjson")
