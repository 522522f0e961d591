-- Grain: one row a source and a UTC day with events of it.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        on_schema_change='fail',
    )
}}

with

usage as (

    select * from {{ ref('fct_usage') }}

),

daily as (

    select
        source,
        usage_date_utc,
        cast(count(*) as bigint) as events,
        max(occurred_at) as last_occurred_at
    from usage
    where {{ is_touched_day('usage_date_utc') }}
    group by
        source,
        usage_date_utc

)

select * from daily
