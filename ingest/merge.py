"""Deduplication, revisions and the insert into the raw tables, for one typed batch.

A batch is the temporary view ``batch`` that ``ingest.batch`` makes. Rows whose identity is new
and alone in the batch take the short way; the others, the *suspects*, are compared exactly with
what is there.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.batch import ORDINAL
from ingest.contract import CONTENT, STORED
from warehouse.lake import Connection

_CONTENT = ", ".join(CONTENT)


@dataclass(frozen=True)
class Merged:
    """Rows of a batch by outcome; rows with a reason are left to the caller."""

    loaded: int
    duplicate: int


def merge_batch(connection: Connection, load_id: int) -> Merged:
    """Insert what is new, mark conflicting rows with a reason, count duplicates.

    Runs inside the caller's transaction.
    """
    suspects = _find_suspects(connection)
    short_way = _insert(connection, load_id, "not is_suspect" if suspects else "true")
    if not suspects:
        return Merged(short_way, 0)
    _judge_suspects(connection)
    accepted = _insert(connection, load_id, "verdict = 'accepted'", "judged")
    connection.execute(
        f"""
        insert into raw.main.usage_supersession
        select {load_id}, source, event_id, identity_hash,
            previous_revision, previous_date, revision
        from judged
        where verdict = 'accepted' and previous_revision is not null
        order by previous_date
        """
    )
    connection.execute(
        f"""
        update batch_rows
        set reason = 'conflicting_duplicate', detail = 'revision ' || batch_rows.revision
        from judged
        where judged.verdict = 'conflicting' and judged.ordinal = {ORDINAL}
        """
    )
    duplicate = _count(connection, "select count(*) from judged where verdict = 'duplicate'")
    connection.execute("drop table judged")
    return Merged(short_way + accepted, duplicate)


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _insert(
    connection: Connection, load_id: int, condition: str, relation: str = "candidate"
) -> int:
    if relation == "candidate":
        relation = "(select *, identity_hash in (select * from suspect) as is_suspect from batch)"
        if condition == "true":
            relation = "batch"
    return _count(
        connection,
        f"""
        insert into raw.main.usage_event
        select {load_id}, line_number, {", ".join(STORED)}
        from {relation}
        where reason is null and {condition}
        """,
    )


def _find_suspects(connection: Connection) -> int:
    """Fill ``suspect`` with the identity hashes that occur twice or are in the lake already."""
    hashes = connection.execute(
        "select identity_hash from batch where reason is null"
    ).fetchnumpy()["identity_hash"]
    table = pa.table({"identity_hash": pa.array(repeated(np.asarray(hashes)), pa.uint64())})
    connection.register("repeated_hashes", table)
    connection.execute("create or replace temp table suspect as select * from repeated_hashes")
    connection.unregister("repeated_hashes")
    if connection.execute("select 1 from raw.main.usage_event limit 1").fetchone():
        connection.execute(
            """
            insert into suspect
            select distinct identity_hash
            from raw.main.usage_event
            where identity_hash in (select identity_hash from batch where reason is null)
            """
        )
    return _count(connection, "select count(*) from suspect")


def repeated(hashes: np.ndarray) -> np.ndarray:
    """The values that occur more than once, each once. Sorting beats grouping several times."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _judge_suspects(connection: Connection) -> None:
    """Fill ``judged`` with a verdict for each suspect of the batch.

    In the order of arrival (what the lake has first, then the file's order) a row is accepted if
    its revision is higher than every one before it; else it is a duplicate, or, where it has the
    revision that counts but other content, conflicting.
    """
    shared = f"source, event_id, revision, identity_hash, usage_date_utc, {_CONTENT}"
    connection.execute(
        f"""
        create or replace temp table judged as
        with
            arrived as (
                select -1 as ordinal, cast(null as bigint) as line_number, {shared}
                from raw.main.usage_event
                where identity_hash in (select identity_hash from suspect)
                union all
                select ordinal, line_number, {shared}
                from batch
                where reason is null and identity_hash in (select identity_hash from suspect)
            ),
            ranked as (
                select
                    *,
                    row({_CONTENT}) as content,
                    max(revision) over (
                        partition by source, event_id
                        order by ordinal, revision
                        rows between unbounded preceding and 1 preceding
                    ) as revision_before
                from arrived
            ),
            compared as (
                select
                    *,
                    first_value(content) over (
                        partition by source, event_id, revision order by ordinal
                    ) as first_content
                from ranked
            ),
            decided as (
                select
                    *,
                    case
                        when ordinal < 0 then 'present'
                        when revision_before is null or revision > revision_before then 'accepted'
                        when revision = revision_before and content is distinct from first_content
                            then 'conflicting'
                        else 'duplicate'
                    end as verdict
                from compared
            ),
            chained as (
                select
                    *,
                    lag(revision) over each_event as previous_revision,
                    lag(usage_date_utc) over each_event as previous_date
                from decided
                where verdict in ('present', 'accepted')
                window each_event as (partition by source, event_id order by revision)
            )
        select
            decided.ordinal, decided.line_number, {", ".join(f"decided.{name}" for name in STORED)},
            cast(null as varchar) as reason, decided.verdict,
            chained.previous_revision, chained.previous_date
        from decided
        left join chained
            on decided.verdict = 'accepted' and decided.ordinal = chained.ordinal
        where decided.verdict <> 'present'
        """
    )
