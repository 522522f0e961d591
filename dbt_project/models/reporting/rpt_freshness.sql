-- Grain: one row, how fresh the marts are.

{{ config(materialized='table') }}

with

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

source_days as (

    select * from {{ ref('fct_usage_source_daily') }}

),

newest as (

    select max(last_occurred_at) as newest_event_at
    from source_days

),

freshness as (

    select
        bounds.as_of,
        newest.newest_event_at,
        bounds.raw_load_id
    from bounds
    cross join newest

)

select * from freshness
