"""What accounts used, read from the lakes: settled at the published snapshot, pending at the head.

Pending are raw rows above the published batch. A pending revision takes the place of the settled
event, a withdrawal removes it. Pending usage without logged credits is not counted before a
refresh has rated it.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.burn_down import Usage
from warehouse.lake import Connection, attach, catalog_exists, reading_head
from warehouse.publication import read_pointer, reading_published
from warehouse.settings import Settings

_PENDING = """
with newest as (
    select
        source,
        event_id,
        max_by(account_id, revision) as account_id,
        max_by(occurred_at, revision) as occurred_at,
        max_by(credits, revision) as credits,
        max_by(is_withdrawn, revision) as is_withdrawn
    from {raw}.main.usage_event
    where load_id > $raw_load_id
    group by source, event_id
)
"""

_NEW = """
    select occurred_at, credits
    from newest
    where account_id = $account_id and not is_withdrawn and credits > 0
"""

_SETTLED = """
    select usage.occurred_at, usage.credits
    from marts.main.fct_usage as usage
    left join newest on usage.source = newest.source and usage.event_id = newest.event_id
    where usage.account_id = $account_id and usage.credits > 0 and newest.event_id is null
"""

_SUMS = """
select
    greatest(len(list_filter($borders, border -> border <= occurred_at)) - 1, -1) as stretch,
    sum(credits) as credits
from ({events}) as event
where occurred_at < $until
group by stretch
"""


@dataclass(frozen=True)
class LakeUsage:
    """The usage of an instance's lakes; each question opens connections of its own."""

    settings: Settings

    def between(self, account_id: str, borders: Sequence[datetime]) -> list[Usage]:
        """Credits used before the last of ``borders``, summed up between them."""
        if not catalog_exists(self.settings, "raw"):
            return []
        connection, raw, raw_load_id = self._open()
        with closing(connection):
            events = _NEW if raw_load_id is None else f"{_NEW} union all {_SETTLED}"
            rows = connection.execute(
                _PENDING.format(raw=raw) + _SUMS.format(events=events),
                {
                    "account_id": account_id,
                    "raw_load_id": raw_load_id or 0,
                    "borders": [_naive(border) for border in borders],
                    "until": _naive(borders[-1]),
                },
            ).fetchall()
        before = borders[0] - timedelta(microseconds=1)
        return [
            Usage(before if stretch < 0 else borders[stretch], credits)
            for stretch, credits in sorted(rows)
        ]

    def _open(self) -> tuple[Connection, str, int | None]:
        """A connection, the name under which it has the raw lake's head, the published batch."""
        publication = read_pointer(self.settings)
        if publication is None:
            return reading_head(self.settings, "raw"), "raw", None
        connection, _ = reading_published(self.settings, publication)
        attach(connection, self.settings, "raw", alias="raw_now")
        return connection, "raw_now", publication.raw_load_id


def _naive(moment: datetime) -> datetime:
    """The lake's timestamps are UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
