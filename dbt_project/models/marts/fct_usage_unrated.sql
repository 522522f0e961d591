-- Grain: one row a UTC day, a day of the account, an account, a category and a model with usage
-- that is held back.

{{ config(materialized='view') }}

with

daily as (

    select * from {{ ref('fct_usage_daily') }}

),

unrated as (

    select
        usage_date_utc,
        usage_date,
        account_id,
        category,
        model,
        cast(sum(unrated_events) as bigint) as unrated_events,
        cast(sum(exposure_low_credits) as decimal(38, 9)) as exposure_low_credits,
        case
            when sum(unbounded_events) = 0
                then cast(sum(exposure_high_credits) as decimal(38, 9))
        end as exposure_high_credits
    from daily
    where unrated_events > 0
    group by
        usage_date_utc,
        usage_date,
        account_id,
        category,
        model

)

select * from unrated
