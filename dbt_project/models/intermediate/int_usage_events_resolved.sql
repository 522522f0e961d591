-- Grain: one row a current event of the touched days: neither superseded nor withdrawn.

{{ config(materialized='ephemeral') }}

with

events as (

    select * from {{ ref('stg_raw__usage_events') }}

),

supersessions as (

    select * from {{ ref('stg_raw__usage_supersessions') }}

),

touched_events as (

    select * from events
    where
        {{ is_touched_day('usage_date_utc') }}
        and not is_withdrawn

),

touched_supersessions as (

    select
        source,
        event_id,
        revision,
        usage_date_utc
    from supersessions
    where {{ is_touched_day('usage_date_utc') }}

),

resolved as (

    select touched_events.*
    from touched_events
    where
        not exists (
            select 1
            from touched_supersessions
            where
                touched_supersessions.source = touched_events.source
                and touched_supersessions.event_id = touched_events.event_id
                and touched_supersessions.revision = touched_events.revision
        )

)

select * from resolved
