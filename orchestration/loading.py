"""Loading as one act: operational tables, usage, what can be replayed, prices of new models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from billing.accounts import StoreAccounts
from billing.exports import StoreExport
from billing.store import Store, open_store
from ingest.landing import Matched, matching_files, waiting_files
from ingest.load import MENDED_BY_OTHERS, FileReport, Loader, LoadReport, Progress
from ingest.operations import sync_operations
from ingest.prices import match_models, sync_prices
from ingest.spec_files import load_specs
from ingest.specs import SourceSpec
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection, writing
from warehouse.settings import Settings


@dataclass(frozen=True)
class Loaded:
    """What a load did: the report of its files, and of rows taken out of quarantine.

    ``problems`` tell of files that could not be tried, as the spec of their source is broken.
    """

    usage: LoadReport
    replayed: LoadReport = field(default_factory=lambda: LoadReport(()))
    problems: tuple[str, ...] = ()


def load_files(
    settings: Settings,
    source: str,
    paths: Sequence[Path],
    *,
    create_accounts: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Load files or folders of one source; a path that is not there is a failed file.

    Raises MeterhouseError for a source that is unknown or whose spec is broken.
    """
    specs = load_specs(settings)
    spec = specs.find(source)
    matched = matching_files(spec, tuple(paths))
    if not matched.files:
        return Loaded(LoadReport(matched.refused))
    with _loading(settings, create_accounts, progress) as (loader, _):
        usage = loader.load(spec, matched.files)
        files = tuple(_warned(file, matched, spec) for file in usage.files)
        usage = replace(usage, files=(*matched.refused, *files))
        return Loaded(usage, _replay(loader, specs))


def _warned(file: FileReport, matched: Matched, spec: SourceSpec) -> FileReport:
    if Path(file.path) not in matched.foreign:
        return file
    text = f"its name matches none of {', '.join(spec.files)}, the files of source {spec.source}"
    return replace(file, warnings=(text, *file.warnings))


@dataclass(frozen=True)
class WarmEngine:
    """What a process that loads again and again keeps open between two loads."""

    engine: Connection
    store: Store


def load_landing(
    settings: Settings,
    *,
    create_accounts: bool = False,
    progress: Progress | None = None,
    warm: WarmEngine | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Loaded:
    """Load whatever waits in the landing folder, source by source.

    Once ``is_over`` says so, the files that are left stay for another time.
    """
    specs = load_specs(settings)
    problems = tuple(
        f"{spec.message}\nthe files in {settings.landing_folder / spec.source} wait for it"
        for spec in specs.broken
        if any(file.is_file() for file in (settings.landing_folder / spec.source).rglob("*"))
    )
    with _loading(settings, create_accounts, progress, warm) as (loader, connection):
        files: list[FileReport] = []
        for waiting in waiting_files(settings, connection, specs):
            if is_over():
                return Loaded(LoadReport(tuple(files)), problems=problems)
            files += loader.load(specs[waiting.source], [waiting.path]).files
        if create_accounts:
            for source in specs.keys() & loader.held_sources(["undeclared_account"]):
                folder = settings.landing_folder / source
                loader.declare_held(specs[source], matching_files(specs[source], (folder,)).files)
        usage = LoadReport(tuple(files), loader.created_accounts)
        return Loaded(usage, _replay(loader, specs), problems)


def replay(
    settings: Settings, source: str | None = None, reasons: Sequence[str] = MENDED_BY_OTHERS
) -> LoadReport:
    """Read open quarantined rows again, of one source or of all."""
    known = load_specs(settings)
    specs = {source: known.find(source)} if source is not None else known
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


def failure_of(loaded: Loaded) -> MeterhouseError | None:
    """The error to raise when files could not be read at all."""
    lines = [f"  {file.path}: {file.message}" for file in loaded.usage.failures]
    texts = ["these files could not be read:\n" + "\n".join(lines)] if lines else []
    texts += loaded.problems
    return MeterhouseError("\n".join(texts)) if texts else None
