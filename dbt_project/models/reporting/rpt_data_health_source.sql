-- Grain: one row a source that has usage.

{{ config(materialized='table') }}

with

source_days as (

    select * from {{ ref('fct_usage_source_daily') }}

),

loads as (

    select * from {{ ref('stg_raw__loads') }}

),

last_loads as (

    select
        source,
        max(finished_at) as last_loaded_at
    from loads
    group by source

),

sources as (

    select
        source,
        cast(sum(events) as bigint) as events,
        max(last_occurred_at) as newest_event_at,
        cast(
            {{ days_between('min(usage_date_utc)', 'max(usage_date_utc)') }} + 1 - count(*) as bigint
        ) as missing_days
    from source_days
    group by source

),

health as (

    select
        sources.source,
        sources.events,
        sources.newest_event_at,
        last_loads.last_loaded_at,
        sources.missing_days
    from sources
    left join last_loads
        on sources.source = last_loads.source

)

select * from health
