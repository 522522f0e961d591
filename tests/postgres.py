"""A private PostgreSQL cluster on loopback, for tests: its server and fresh databases.

The server's programs come from the system (``/usr/lib/postgresql`` or the path). It refuses to
run as root, so root hands it to the user ``postgres``. Where something is missing, the tests
that ask for it are skipped with the reason.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


def _programs() -> Path | None:
    """Folder of the newest installed server's programs."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: float(file.parts[-3])
    )
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _as_server_user() -> tuple[list[str], pwd.struct_passwd | None]:
    """What to put before a command so that it does not run as root, and whom it runs as then."""
    if os.geteuid() != 0:
        return [], None
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if shutil.which("runuser"):
            return ["runuser", "-u", name, "--"], user
    pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a running server without a database's name; it ends with the session."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed")
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    prefix, user = _as_server_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)

    def run(*command: str) -> None:
        done = subprocess.run(
            [*prefix, *command],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=600,
            check=False,
        )
        if done.returncode:
            pytest.fail(
                f"PostgreSQL is installed and does not start: {done.stderr.decode()[-500:]}"
            )

    data = str(folder / "data")
    try:
        run(
            str(programs / "initdb"),
            *("--pgdata", data, "--auth", "trust", "--username", "meterhouse"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )
        port = _free_port()
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=50"
        log = str(folder / "log")
        control = [str(programs / "pg_ctl"), "--pgdata", data, "-w", "-t", "300"]
        run(*control, "-l", log, "-o", options, "start")
        try:
            yield f"postgresql://meterhouse@127.0.0.1:{port}"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_database(server: str) -> str:
    """URL of a new, empty database on a server."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{server}/{name}"


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of a fresh, empty database."""
    return fresh_database(postgres_server)
