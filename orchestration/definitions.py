"""The code location that workspace.yaml names: everything Dagster runs."""

import dagster as dg

from orchestration.assets import (
    build_asset,
    dbt_models,
    expectation_checks,
    published_asset,
    raw_assets,
    told_asset,
)
from orchestration.automation import (
    alerts_job,
    alerts_schedule,
    alerts_sensor,
    hourly_load,
    landing_sensor,
    load_job,
    nightly_full_checks,
    nightly_upkeep,
    refresh_job,
    refresh_sensor,
    settle_job,
    settle_purchases,
    upkeep_job,
)
from orchestration.dbt_project import DBT, dbt_project
from orchestration.resources import Dbt, checker


@dg.definitions
def definitions() -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors. Parses the dbt project if its files changed."""
    project = dbt_project()
    models = dbt_models(project)
    return dg.Definitions(
        assets=[raw_assets(), models, build_asset(models), published_asset(), told_asset()],
        asset_checks=[expectation_checks()],
        jobs=[alerts_job, load_job, refresh_job, settle_job, upkeep_job],
        schedules=[
            alerts_schedule,
            hourly_load,
            nightly_full_checks,
            nightly_upkeep,
            settle_purchases,
        ],
        sensors=[alerts_sensor, landing_sensor, refresh_sensor],
        resources={
            "dbt": Dbt(project_dir=str(project.project_dir), dbt_executable=str(DBT)),
            "checker": checker,
        },
        executor=dg.in_process_executor,
    )
