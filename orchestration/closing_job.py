"""The job that closes the month that is over, every morning until every account is closed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from billing.invoices.closing import close
from billing.invoices.mailing import finish, nobody
from billing.invoices.parties import find_issuer
from billing.store import open_store, store_exists
from warehouse.settings import load_settings


class CloseConfig(dg.Config):
    """Which month to close: its first day, such as 2026-10-01; the last one by default."""

    month: str = ""


@dg.op
def issue_invoices(context: dg.OpExecutionContext, config: CloseConfig) -> None:
    """Issue what the guards let through and mail it; who is held is logged with what to do."""
    month = date.fromisoformat(config.month) if config.month else month_before(datetime.now(UTC))
    settings = load_settings()
    with open_store(settings) as store:
        closed = close(settings, store, month)
        finished = finish(settings, store)
    for hold in closed.held:
        context.log.warning(f"{hold.account_id} is held ({hold.guard}): {hold.reason}")
    for issued in finished.unaddressed:
        context.log.warning(nobody(issued))
    done = finished.delivered
    context.log.info(
        f"{month:%Y-%m}: issued {len(closed.issued)}, closed before {len(closed.already)}; "
        f"rendered {finished.rendered}, mails sent {done.sent}, failed {done.failed}, "
        f"refused {done.given_up}"
    )


@dg.job(name="close_month", description="Issue the invoices of a month that is over.")
def close_month_job() -> None:
    """Each account's invoice, once."""
    issue_invoices()


@dg.schedule(
    job=close_month_job,
    cron_schedule="0 5 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def close_last_month(
    context: dg.ScheduleEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Every morning: months end at other times in other zones, and held accounts are mended."""
    settings = load_settings()
    if not store_exists(settings):
        yield dg.SkipReason("there is no account yet")
        return
    with open_store(settings) as store:
        is_set_up = find_issuer(store) is not None
    if is_set_up:
        yield dg.RunRequest()
    else:
        yield dg.SkipReason("nobody issues invoices; `meterhouse invoices issuer` sets it up")


def month_before(now: datetime) -> date:
    """First day of the month before that of ``now``."""
    return (now.date().replace(day=1) - timedelta(days=1)).replace(day=1)
