"""Jobs, schedules and sensors: what runs when."""

import hashlib
import time
from collections.abc import Iterator

import dagster as dg

from billing.gateways import gateway_for
from billing.purchases import has_paid_purchases, pending_purchases
from billing.settling import settle_pending
from billing.store import open_store
from billing.usage_sums import LakeUsage
from ingest.landing import WaitingFile, waiting_files
from ingest.tables import TABLES
from orchestration.assets import RAW_POOL, TOLD, TOUCHED_ONLY, RefreshConfig
from orchestration.dbt_project import DAYS
from orchestration.refreshing import plan_refresh, touched_range
from orchestration.watching import is_watched
from warehouse.errors import MeterhouseError
from warehouse.lake import catalog_exists
from warehouse.publication import read_pointer
from warehouse.settings import Settings, load_settings
from warehouse.upkeep import tidy

LANDING_SECONDS = 5
REFRESH_SECONDS = 5
WATCH_SECONDS = 30
"""How long files are left to `meterhouse watch` where it runs."""

_RAW = dg.AssetSelection.assets(*(["raw", table] for table in TABLES))
_TOLD = dg.AssetSelection.assets(TOLD)

load_job = dg.define_asset_job(
    "load",
    selection=_RAW.without_checks(),
    description="Load what waits in the landing folder.",
)
refresh_job = dg.define_asset_job(
    "refresh",
    selection=(dg.AssetSelection.all() - _RAW - _TOLD) | dg.AssetSelection.all_asset_checks(),
    description="Build the touched days, check them, publish them.",
)
alerts_job = dg.define_asset_job(
    "alerts",
    selection=_TOLD,
    description="Judge budgets, balances and spikes; send what is to be told.",
)


@dg.op(pool=RAW_POOL)
def keep_up(context: dg.OpExecutionContext) -> None:
    """Merge small files, let old snapshots go, remove what nothing names any more."""
    context.log.info(str(tidy(load_settings())))


@dg.job(name="upkeep", description="Compaction, expiry and clean-up of both lakes.")
def upkeep_job() -> None:
    """Keep both lakes small."""
    keep_up()


@dg.op
def settle_payments(context: dg.OpExecutionContext) -> None:
    """Settle what is pending; fails, so that it is seen, when the gateway cannot be asked."""
    settings = load_settings()
    with open_store(settings) as store:
        settled = settle_pending(store, gateway_for(settings), LakeUsage(settings))
    context.log.info(str(settled))
    if settled.problems:
        raise MeterhouseError("not everything could be settled: " + "; ".join(settled.problems))


@dg.job(name="settle", description="Ask the payment gateway for purchases left pending.")
def settle_job() -> None:
    """Leave no purchase pending whose webhook was lost."""
    settle_payments()


def touched_tags(settings: Settings) -> dict[str, str]:
    """Tags of a touched-only run. It is recorded under the last touched day alone: an event a
    model and day would take longer than the refresh itself.
    """
    touched = touched_range(settings)
    keys = DAYS.get_partition_keys()
    day = min(touched[1].isoformat(), keys[-1]) if touched else keys[-1]
    day = max(day, keys[0])
    return {
        TOUCHED_ONLY: "true",
        "dagster/asset_partition_range_start": day,
        "dagster/asset_partition_range_end": day,
    }


def landing_key(waiting: list[WaitingFile]) -> str:
    """A run key that is new whenever a waiting file is new or has changed."""
    digest = hashlib.sha256()
    for file in waiting:
        stat = file.path.stat()
        digest.update(f"{file.source}\0{file.path}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode())
    return digest.hexdigest()


@dg.sensor(
    job=load_job,
    minimum_interval_seconds=LANDING_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def landing_sensor(
    context: dg.SensorEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Load files of the landing folder that are new or have grown.

    Where `meterhouse watch` runs they are its to load; those that still wait as they were after
    half a minute are not left to it any longer.
    """
    settings = load_settings()
    waiting = waiting_files(settings)
    if not waiting:
        context.update_cursor("")
        yield dg.SkipReason("nothing waits in the landing folder")
        return
    key = landing_key(waiting)
    if is_watched(settings):
        since, cursor = left_to_watch(context.cursor, key, time.time())
        context.update_cursor(cursor)
        if since < WATCH_SECONDS:
            yield dg.SkipReason("left to `meterhouse watch`")
            return
    yield dg.RunRequest(run_key=key)


def left_to_watch(cursor: str | None, key: str, now: float) -> tuple[float, str]:
    """For how many seconds the same files have waited, and the cursor that remembers it."""
    before, _, since = (cursor or "").partition(" ")
    first = float(since) if before == key and since else now
    return now - first, f"{key} {first}"


@dg.sensor(
    job=refresh_job,
    minimum_interval_seconds=REFRESH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def refresh_sensor() -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Refresh once what was loaded is newer than what is published."""
    settings = load_settings()
    try:
        newest = plan_refresh(settings).raw_load_id
    except MeterhouseError as error:
        yield dg.SkipReason(str(error))
        return
    publication = read_pointer(settings)
    if publication and publication.raw_load_id >= newest:
        yield dg.SkipReason("everything that was loaded is published")
    else:
        yield dg.RunRequest(run_key=str(newest), tags=touched_tags(settings))


@dg.schedule(
    job=load_job, cron_schedule="0 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
def hourly_load(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every hour: landing files, accounts, rates and prices, and rows that can be replayed now."""
    return dg.RunRequest()


@dg.schedule(
    job=refresh_job, cron_schedule="30 2 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
def nightly_full_checks(
    context: dg.ScheduleEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Every night: the tests over all history, and a refresh although nothing is new."""
    settings = load_settings()
    if not catalog_exists(settings, "raw"):
        yield dg.SkipReason("there is no usage yet")
        return
    config = RefreshConfig(full_checks=True)
    yield dg.RunRequest(
        tags=touched_tags(settings),
        run_config=dg.RunConfig(ops={"dbt_models": config, "expectations": config}),
    )


@dg.schedule(
    job=settle_job, cron_schedule="*/10 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
def settle_purchases(
    context: dg.ScheduleEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Every ten minutes where a purchase is pending; hourly for refunds and chargebacks."""
    settings = load_settings()
    if settings.payments == "off":
        yield dg.SkipReason("payments are off")
        return
    with open_store(settings) as store:
        is_hour = context.scheduled_execution_time.minute == 0
        is_needed = pending_purchases(store) or (is_hour and has_paid_purchases(store))
    if is_needed:
        yield dg.RunRequest()
    else:
        yield dg.SkipReason("no purchase is pending")


@dg.sensor(
    job=alerts_job,
    minimum_interval_seconds=REFRESH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alerts_sensor() -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Judge the alerts after every publication."""
    publication = read_pointer(load_settings())
    if publication is None:
        yield dg.SkipReason("nothing is published yet")
    else:
        yield dg.RunRequest(run_key=f"alerts {publication.marts_snapshot}")


alerts_schedule = dg.ScheduleDefinition(
    name="alerts_schedule",
    job=alerts_job,
    cron_schedule="*/10 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
"""What waits in the outbox is tried again, and figures that grow stale are noticed."""


nightly_upkeep = dg.ScheduleDefinition(
    name="nightly_upkeep",
    job=upkeep_job,
    cron_schedule="30 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
