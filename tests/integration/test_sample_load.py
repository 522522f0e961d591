"""A sample with defects, loaded for real: what its manifest promises is what comes of it."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from billing.accounts import add_account
from billing.store import open_store
from ingest.sample import UNDECLARED_ACCOUNT, SampleSpec, sample_accounts, write_sample
from orchestration.commands.sample import declare
from orchestration.loading import load_files
from warehouse.lake import reading_head
from warehouse.settings import Settings

SPEC = SampleSpec(seed=5, days=45, events=4_000, until=datetime(2026, 11, 20, 15, 30, tzinfo=UTC))

CURRENT_CREDITS = """
    select account_id, cast(sum(coalesce(credits, 0)) as decimal(38, 9))
    from raw.main.usage_event as event
    where not is_withdrawn
        and not exists (
            select 1 from raw.main.usage_supersession as superseded
            where superseded.source = event.source
                and superseded.event_id = event.event_id
                and superseded.revision = event.revision
        )
    group by account_id
"""


def test_every_file_of_a_sample_loads_to_the_numbers_of_its_manifest(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    declare(settings, sample_accounts(SPEC))
    manifest = write_sample(SPEC, settings.landing_folder / "meterhouse")
    loaded = load_files(settings, "meterhouse", [file.path for file in manifest.files]).usage
    for expected, found in zip(manifest.files, loaded.files, strict=True):
        assert (found.read, found.loaded, found.duplicate, found.reasons) == (
            expected.rows,
            expected.loaded,
            expected.duplicate,
            expected.rejected,
        ), expected.path.name
    assert credits_by_account(settings) == manifest.logged_credits

    with open_store(settings) as store:
        add_account(store, UNDECLARED_ACCOUNT)
    replayed = load_files(settings, "meterhouse", [manifest.files[0].path]).replayed
    assert replayed.loaded == manifest.undeclared_events
    assert credits_by_account(settings)[UNDECLARED_ACCOUNT] == manifest.undeclared_credits


def credits_by_account(settings: Settings) -> dict[str, Decimal]:
    connection = reading_head(settings, "raw")
    try:
        return dict(connection.execute(CURRENT_CREDITS).fetchall())
    finally:
        connection.close()
