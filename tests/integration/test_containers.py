"""The compose and container files: what they name exists, and what they start runs.

No container runs here: each service's command is run as it stands, on a fresh home, with a real
PostgreSQL, until it is healthy.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from orchestration.supervisor import supervising
from tests.postgres import fresh_database
from warehouse.settings import ROOT, Settings

SCRIPTS = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service["image"] == "meterhouse"
}
PATIENCE = 240


def test_app_loader_dagster_and_its_daemon_are_services_of_one_image() -> None:
    assert OURS.keys() == {"app", "loader", "dagster", "scheduler"}
    for service in OURS.values():
        assert service["volumes"] == ["data:/data"]
        assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        assert (SCRIPTS / service["command"][0]).exists()


def test_every_setting_that_the_files_name_exists() -> None:
    known = {f"METERHOUSE_{name.upper()}" for name in Settings.model_fields}
    for text in ((ROOT / "compose.yaml").read_text(), CONTAINERFILE):
        assert set(re.findall(r"METERHOUSE_[A-Z_]+", text)) <= known


def test_no_port_is_open_beyond_loopback_and_no_password_is_written_down() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert (
        "POSTGRES_PASSWORD:?" in COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    )


def test_the_image_is_pinned_not_root_and_holds_no_state() -> None:
    lines = CONTAINERFILE.splitlines()
    assert "USER meterhouse" in lines
    assert lines.index("USER meterhouse") < next(
        number for number, line in enumerate(lines) if line.startswith("CMD")
    )
    assert "--require-hashes -r requirements.lock" in CONTAINERFILE
    ignored = (ROOT / ".containerignore").read_text().splitlines()[1:]
    assert ignored == (ROOT / ".dockerignore").read_text().splitlines()[1:]
    assert {".git", ".env", "var", ".venv"} <= set(ignored)
    needed = {"app", "billing", "dbt_project", "requirements.lock", ".streamlit", "README.md"}
    assert not needed & set(ignored)
    (command,) = re.findall(r"^CMD (\[.*\])$", CONTAINERFILE, re.MULTILINE)
    assert json.loads(command) == OURS["app"]["command"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running(NamedTuple):
    """A service that was started: the port it was given, the file its output goes to."""

    port: int
    log: Path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that nothing was ever in."""
    return tmp_path_factory.mktemp("containers") / "data"


@pytest.fixture(scope="module")
def services(home: Path, postgres_server: str) -> Iterator[dict[str, Running]]:
    """All services, started at once, as compose does, with the compose file's settings."""
    database = fresh_database(postgres_server)
    here = {
        "METERHOUSE_HOME": str(home),
        "METERHOUSE_CATALOG_URL": database,
        "METERHOUSE_OPERATIONS_URL": database,
    }
    started = {}
    with supervising() as supervisor:
        for name, service in OURS.items():
            port, log = free_port(), home.parent / f"{name}.log"
            given = {key: here.get(key, value) for key, value in service["environment"].items()}
            # Another port and address than in a container, whose loopback is its own.
            given |= {"METERHOUSE_DAGSTER_PORT": str(port), "METERHOUSE_MEMORY": "500MB"}
            changed = {"8501": str(port), "0.0.0.0": "127.0.0.1"}
            program, *arguments = [changed.get(word, word) for word in service["command"]]
            supervisor.start(name, [str(SCRIPTS / program), *arguments], os.environ | given, log)
            started[name] = Running(port, log)
        yield started
        supervisor.check()


def answer(address: str) -> str:
    """What an address says, once it says it with 200."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as said:
                return str(said.read().decode())
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{address}: {error}") from error
            time.sleep(0.3)


def said(log: Path, word: str) -> str:
    """The log, once a word is in it."""
    deadline = time.monotonic() + PATIENCE
    while word not in (text := log.read_text()):
        assert time.monotonic() < deadline, f"{log.name} does not say {word!r}:\n{text}"
        time.sleep(0.2)
    return text


def test_the_app_starts_on_a_fresh_home_and_its_health_check_passes(
    services: dict[str, Running],
) -> None:
    port, log = services["app"]
    assert answer(f"http://127.0.0.1:{port}/readyz") == "ready"
    assert answer(f"http://127.0.0.1:{port}/healthz") == "ok"
    check = OURS["app"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "python"]
    subprocess.run(
        [sys.executable, *(word.replace("8501", str(port)) for word in check[2:])], check=True
    )
    told = answer(f"http://127.0.0.1:{port}/metrics")
    assert 'meterhouse_part_up{part="lakes"} 1.0' in told
    assert 'meterhouse_part_up{part="store"} 1.0' in told
    assert 'meterhouse_outbox_messages{state="waiting"} 0.0' in told
    assert re.search(r'http_requests_total\{method="GET",route="/readyz",status="200"\} \d', told)
    assert "process_resident_memory_bytes" in told
    assert "Traceback" not in log.read_text()


def test_the_loader_starts_and_loads_what_lands(services: dict[str, Running], home: Path) -> None:
    log = services["loader"].log
    said(log, "watching")
    folder = home / "landing" / "meterhouse"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.ndjson").write_text('{"event_id": "e1"}\n')
    text = said(log, "rows_rejected")
    (line,) = [json.loads(each) for each in text.splitlines() if "rows_rejected" in each]
    assert line["logger"] == "meterhouse.watch" and line["rows_rejected"] == 1


def test_dagsters_page_and_its_daemon_start(services: dict[str, Running]) -> None:
    assert "dagster" in answer(f"http://127.0.0.1:{services['dagster'].port}/server_info")
    said(services["scheduler"].log, "Instance is configured")


OPENS_DAGSTERS_STATE = """
import sys
from pathlib import Path
from orchestration.instance import dagster_instance
from warehouse.settings import Settings

print("ready", flush=True)
for home in sys.stdin:
    with dagster_instance(Settings(home=Path(home.strip()))) as instance:
        print(instance.get_runs_count(), flush=True)
"""


def test_processes_that_open_dagsters_state_at_once_leave_it_whole(tmp_path: Path) -> None:
    with ExitStack() as stack:
        openers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", OPENS_DAGSTERS_STATE],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        assert [opener.stdout.readline() for opener in openers if opener.stdout] == ["ready\n"] * 4
        for number in range(3):
            for opener in openers:
                assert opener.stdin
                print(tmp_path / str(number), file=opener.stdin, flush=True)
            assert [opener.stdout.readline() for opener in openers if opener.stdout] == ["0\n"] * 4
