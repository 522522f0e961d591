"""A refresh from the command line: the Dagster job, run in this process."""

from dataclasses import dataclass
from datetime import date, timedelta

from orchestration.assets import RefreshConfig
from orchestration.automation import touched_tags
from orchestration.in_process import run_job
from orchestration.loading import replay
from orchestration.refreshing import plan_refresh
from warehouse.errors import MeterhouseError
from warehouse.lake import catalog_exists, reading_head
from warehouse.publication import Publication, reading_published
from warehouse.settings import Settings


@dataclass(frozen=True)
class Refreshed:
    """What a refresh published: the pointer, how many days it rebuilt, warnings of its checks."""

    publication: Publication
    touched_days: int
    warnings: list[str]


def run_refresh(
    settings: Settings,
    *,
    from_day: date | None = None,
    to_day: date | None = None,
    full_checks: bool = False,
) -> Refreshed:
    """Bring accounts and held-back rows up to date, then build, check and publish.

    ``from_day`` and ``to_day`` (exclusive) are UTC days to rebuild besides the touched ones.
    Raises MeterhouseError with the reason when nothing could be published.
    """
    plan_refresh(settings, from_day=from_day, to_day=to_day)
    if catalog_exists(settings, "raw"):
        replay(settings)
    config = RefreshConfig(full_checks=full_checks).model_dump()
    if from_day and to_day:
        tags = {
            "dagster/asset_partition_range_start": from_day.isoformat(),
            "dagster/asset_partition_range_end": (to_day - timedelta(days=1)).isoformat(),
        }
    else:
        tags = touched_tags(settings)
    run_job(settings, "refresh", ops={"dbt_models": config, "expectations": config}, tags=tags)
    return _published(settings)


def _published(settings: Settings) -> Refreshed:
    connection, publication = reading_published(settings)
    try:
        touched = connection.execute("select count(*) from int_usage_touched_days").fetchone()
    finally:
        connection.close()
    if touched is None:
        raise MeterhouseError("the published snapshot cannot be read; run `meterhouse doctor`")
    return Refreshed(publication, int(touched[0]), _warnings(settings, publication))


def _warnings(settings: Settings, publication: Publication) -> list[str]:
    connection = reading_head(settings, "marts")
    try:
        rows = connection.execute(
            "select check_name, message from marts.meta.check_result"
            " where marts_snapshot = ? and not is_passed and severity = 'warn'"
            " order by check_name",
            [publication.marts_snapshot],
        ).fetchall()
    finally:
        connection.close()
    return [f"{name}: {message}" for name, message in rows]
