"""``meterhouse up``: everything, on this machine, with one command."""

import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from billing.store import open_store
from orchestration.commands.sample import sample, sample_note
from orchestration.loading import failure_of, load_landing
from orchestration.supervisor import supervising
from orchestration.tether import POLITE_SECONDS
from warehouse.errors import MeterhouseError
from warehouse.lake import catalog_exists
from warehouse.listening import refuse_remote
from warehouse.publication import read_pointer
from warehouse.settings import ROOT, Settings, load_settings

FREE_SECONDS = 2 * POLITE_SECONDS
"""How long a port may be taken by what a killed `up` left behind."""


@click.command()
@click.option("--no-sample", is_flag=True, help="Leave an empty lake empty.")
@click.option("--no-dagster", is_flag=True, help="Start the app and the loader alone.")
@click.pass_context
def up(context: click.Context, no_sample: bool, no_dagster: bool) -> None:
    """Fill an empty lake with sample usage, build it, start the app, `watch` and Dagster.

    Ctrl-C stops all of it.
    """
    settings = load_settings()
    refuse_remote(settings, settings.app_address)
    for port, variable in (
        (settings.app_port, "METERHOUSE_APP_PORT"),
        *([] if no_dagster else [(settings.dagster_port, "METERHOUSE_DAGSTER_PORT")]),
    ):
        _check_free(port, variable)
    began = time.monotonic()
    settings.landing_folder.mkdir(parents=True, exist_ok=True)
    if not no_sample and not catalog_exists(settings, "raw") and not _holds_files(settings):
        _say("the lake is empty: making sample usage")
        context.invoke(sample)
    fill(settings)
    if sample_note(settings).exists():
        invoice_sample(settings)
    start(settings, began, with_dagster=not no_dagster)


def fill(settings: Settings) -> None:
    """Load what waits, and publish it if it is new."""
    if not _holds_files(settings) and not catalog_exists(settings, "raw"):
        return
    loaded = load_landing(settings)
    if error := failure_of(loaded):
        _say(str(error))
    if loaded.usage.read:
        _say(f"loaded {loaded.usage.loaded:,} events, {loaded.usage.rejected:,} rows rejected")
    from orchestration.refresh_job import run_refresh
    from orchestration.refreshing import plan_refresh

    publication = read_pointer(settings)
    if publication and publication.raw_load_id >= plan_refresh(settings).raw_load_id:
        return
    _say("building and checking the marts")
    try:
        run_refresh(settings)
    except MeterhouseError as error:
        if publication is None:
            raise
        _say(str(error))


def invoice_sample(settings: Settings) -> None:
    """Issue the invoices of a sample's past months, once."""
    from billing.sample_invoices import close_sample

    try:
        with open_store(settings) as store:
            if documents := close_sample(settings, store, datetime.now(UTC)):
                _say(f"issued {documents} sample invoices and credit notes of past months")
    except MeterhouseError as error:
        _say(str(error))


def start(settings: Settings, began: float, *, with_dagster: bool) -> None:
    """Start the app, the resident loader and Dagster, say where they are, and wait for Ctrl-C."""
    environment = settings.environment()
    scripts = Path(sys.executable).parent
    logs = settings.home / "logs"
    app = f"http://{reachable(settings.app_address)}:{settings.app_port}"
    dagster = f"http://127.0.0.1:{settings.dagster_port}"
    with supervising() as supervisor:
        try:
            supervisor.start(
                "the app",
                [
                    str(scripts / "streamlit"),
                    "run",
                    str(ROOT / "app" / "asgi.py"),
                    "--server.address",
                    settings.app_address,
                    "--server.port",
                    str(settings.app_port),
                    "--server.headless",
                    "true",
                ],
                environment,
                logs / "app.log",
            )
            supervisor.start(
                "the resident loader",
                [str(scripts / "meterhouse"), "watch"],
                environment,
                logs / "watch.log",
            )
            if with_dagster:
                from orchestration.instance import prepare_dagster_home

                home = str(prepare_dagster_home(settings))
                supervisor.start(
                    "Dagster",
                    [
                        str(scripts / "dagster"),
                        "dev",
                        "--workspace",
                        str(ROOT / "workspace.yaml"),
                        "--host",
                        "127.0.0.1",
                        "--port",
                        str(settings.dagster_port),
                        *("--log-format", "json" if settings.log_format == "json" else "colored"),
                    ],
                    environment | {"DAGSTER_HOME": home},
                    logs / "dagster.log",
                )
            supervisor.wait_for(f"{app}/_stcore/health", 180)
            _say(f"app      {app}  (after {time.monotonic() - began:.0f} s)")
            if with_dagster:
                supervisor.wait_for(f"{dagster}/server_info", 180)
                _say(f"Dagster  {dagster}")
            _say(
                f"landing  {settings.landing_folder}/<source>/  takes usage logs; Ctrl-C stops all"
            )
            while True:
                supervisor.check()
                time.sleep(1)
        except KeyboardInterrupt:
            _say("stopping")


def reachable(address: str) -> str:
    """The address at which this machine reaches what listens on ``address``."""
    if address in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{address}]" if ":" in address else address


def _check_free(port: int, variable: str) -> None:
    """Raises MeterhouseError for a port that is taken, and stays so.

    What a killed `up` left behind ends by itself within a moment.
    """
    until = time.monotonic() + FREE_SECONDS
    while not _is_free(port):
        if time.monotonic() > until:
            raise MeterhouseError(
                f"port {port} is taken by another program, or by another `meterhouse up`; "
                f"stop it, or choose another port with {variable}"
            )
        time.sleep(0.2)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holds_files(settings: Settings) -> bool:
    return any(file.is_file() for file in settings.landing_folder.rglob("*"))


def _say(text: str) -> None:
    click.echo(text, err=True)
