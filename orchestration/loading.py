"""Loading as one act: operational tables, usage, what can be replayed, prices of new models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from billing.accounts import StoreAccounts
from billing.exports import StoreExport
from billing.store import Store, open_store
from ingest.landing import matching_files, waiting_files
from ingest.load import MENDED_BY_OTHERS, FileReport, Loader, LoadReport, Progress
from ingest.operations import sync_operations
from ingest.prices import match_models, sync_prices
from ingest.specs import SourceSpec, find_spec, load_specs
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection, writing
from warehouse.settings import Settings


@dataclass(frozen=True)
class Loaded:
    """What a load did: the report of its files, and of rows taken out of quarantine."""

    usage: LoadReport
    replayed: LoadReport


def load_files(
    settings: Settings,
    source: str,
    paths: Sequence[Path],
    *,
    create_accounts: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Load files or folders of one source. Raises MeterhouseError for a source or path unknown."""
    specs = load_specs(settings)
    spec = find_spec(specs, source)
    files = matching_files(spec, tuple(paths))
    with _loading(settings, create_accounts, progress) as (loader, _):
        return Loaded(loader.load(spec, files), _replay(loader, specs))


@dataclass(frozen=True)
class WarmEngine:
    """What a process that loads again and again keeps open between two loads."""

    engine: Connection
    store: Store


def load_landing(
    settings: Settings,
    *,
    progress: Progress | None = None,
    warm: WarmEngine | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Loaded:
    """Load whatever waits in the landing folder, source by source.

    Once ``is_over`` says so, the files that are left stay for another time.
    """
    specs = load_specs(settings)
    with _loading(settings, False, progress, warm) as (loader, connection):
        files: list[FileReport] = []
        for waiting in waiting_files(settings, connection):
            if is_over():
                return Loaded(LoadReport(tuple(files)), LoadReport(()))
            files += loader.load(specs[waiting.source], [waiting.path]).files
        return Loaded(LoadReport(tuple(files)), _replay(loader, specs))


def replay(
    settings: Settings, source: str | None = None, reasons: Sequence[str] = MENDED_BY_OTHERS
) -> LoadReport:
    """Read open quarantined rows again, of one source or of all."""
    specs = load_specs(settings)
    if source is not None:
        specs = {source: find_spec(specs, source)}
    with _loading(settings, False, None) as (loader, _):
        return _replay(loader, specs, reasons)


def _replay(
    loader: Loader, specs: Mapping[str, SourceSpec], reasons: Sequence[str] = MENDED_BY_OTHERS
) -> LoadReport:
    files = [
        file
        for source in loader.held_sources(reasons)
        if source in specs
        for file in loader.replay(specs[source], reasons).files
    ]
    return LoadReport(tuple(files))


@contextmanager
def _loading(
    settings: Settings,
    create_accounts: bool,
    progress: Progress | None,
    warm: WarmEngine | None = None,
) -> Iterator[tuple[Loader, Connection]]:
    """A loader under its lock, with operational tables and prices brought up to date around it."""
    with (
        nullcontext(warm.store) if warm else open_store(settings) as store,
        writing(settings, "raw", warm.engine if warm else None) as connection,
    ):
        loader = Loader(
            connection,
            settings,
            StoreAccounts(store),
            create_accounts=create_accounts,
            progress=progress,
        )
        sync_operations(connection, StoreExport(store))
        sync_prices(connection)
        yield loader, connection
        if create_accounts:
            sync_operations(connection, StoreExport(store))
        match_models(connection)


def failure_of(report: LoadReport) -> MeterhouseError | None:
    """The error to raise when files could not be read at all."""
    if not report.failures:
        return None
    lines = [f"  {file.path}: {file.message}" for file in report.failures]
    return MeterhouseError("these files could not be read:\n" + "\n".join(lines))
