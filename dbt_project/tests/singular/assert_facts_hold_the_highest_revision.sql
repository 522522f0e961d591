-- Fails on events of which the facts hold a revision that is not the highest one read, or that was
-- withdrawn. It looks at all history and therefore runs with full_checks only.

{{ config(meta={'dagster': {'ref': {'name': 'fct_usage'}}}) }}

with

events as (

    select * from {{ ref('stg_raw__usage_events') }}
    where {{ is_checked(none, true) }}

),

usage as (

    select * from {{ ref('fct_usage') }}
    where {{ is_checked(none, true) }}

),

newest as (

    select
        source,
        event_id,
        max(revision) as revision,
        max_by(is_withdrawn, revision) as is_withdrawn
    from events
    group by
        source,
        event_id

),

differing as (

    select
        newest.source,
        newest.event_id,
        newest.revision,
        usage.revision as fact_revision
    from newest
    full outer join usage
        on
            newest.source = usage.source
            and newest.event_id = usage.event_id
    where
        newest.event_id is null
        or (newest.is_withdrawn and usage.event_id is not null)
        or (not newest.is_withdrawn and coalesce(usage.revision, -1) <> newest.revision)

)

select * from differing
