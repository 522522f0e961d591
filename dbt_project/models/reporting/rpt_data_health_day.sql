-- Grain: one row a source and a UTC day, without gaps between its first and its last one.

with

source_days as (

    select * from {{ ref('fct_usage_source_daily') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

spans as (

    select
        source,
        min(usage_date_utc) as first_day,
        max(usage_date_utc) as last_day
    from source_days
    group by source

),

spine as (

    select
        spans.source,
        dates.date_day
    from spans
    inner join dates
        on
            spans.first_day <= dates.date_day
            and spans.last_day >= dates.date_day

),

days as (

    select
        spine.source,
        spine.date_day as usage_date_utc,
        coalesce(source_days.events, 0) as events
    from spine
    left join source_days
        on
            spine.source = source_days.source
            and spine.date_day = source_days.usage_date_utc

)

select * from days
