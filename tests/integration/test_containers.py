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
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.supervisor import Supervisor
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


@pytest.fixture
def run(tmp_path: Path, postgres_url: str) -> Iterator[Callable[[str], tuple[int, Path]]]:
    """Runs a service's command with the compose file's settings; its port and its log."""
    with ExitStack() as stack:

        def start(name: str) -> tuple[int, Path]:
            service, port = OURS[name], free_port()
            given = {
                key: {
                    "METERHOUSE_HOME": str(tmp_path / "data"),
                    "METERHOUSE_CATALOG_URL": postgres_url,
                    "METERHOUSE_OPERATIONS_URL": postgres_url,
                }.get(key, value)
                for key, value in service["environment"].items()
            }
            # Another port and address than in a container, whose loopback is its own.
            given |= {"METERHOUSE_DAGSTER_PORT": str(port), "METERHOUSE_MEMORY": "500MB"}
            changed = {"8501": str(port), "0.0.0.0": "127.0.0.1"}
            program, *arguments = [changed.get(word, word) for word in service["command"]]
            supervisor = Supervisor()
            stack.callback(supervisor.stop)
            log = tmp_path / f"{name}.log"
            supervisor.start(name, [str(SCRIPTS / program), *arguments], os.environ | given, log)
            running.append(supervisor)
            return port, log

        running: list[Supervisor] = []
        yield start
        for supervisor in running:
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
    run: Callable[[str], tuple[int, Path]],
) -> None:
    port, log = run("app")
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
    began = time.perf_counter()
    answer(f"http://127.0.0.1:{port}/metrics")
    assert time.perf_counter() - began < 1
    assert "Traceback" not in log.read_text()


def test_the_loader_starts_and_loads_what_lands(
    run: Callable[[str], tuple[int, Path]], tmp_path: Path
) -> None:
    _, log = run("loader")
    said(log, "watching")
    folder = tmp_path / "data" / "landing" / "meterhouse"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.ndjson").write_text('{"event_id": "e1"}\n')
    text = said(log, "rows_rejected")
    (line,) = [json.loads(each) for each in text.splitlines() if "rows_rejected" in each]
    assert line["logger"] == "meterhouse.watch" and line["rows_rejected"] == 1


def test_dagsters_page_and_its_daemon_start(run: Callable[[str], tuple[int, Path]]) -> None:
    port, _ = run("dagster")
    _, daemon = run("scheduler")
    assert "dagster" in answer(f"http://127.0.0.1:{port}/server_info")
    said(daemon, "Instance is configured")
