-- Grain: one row an account and a day in its time zone.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_months',
        on_schema_change='fail',
        partitioned_by='month',
        sorted_by='account_id',
    )
}}

with

daily as (

    select * from {{ ref('fct_usage_daily') }}

),

account_days as (

    select
        account_id,
        cast(date_trunc('month', usage_date) as date) as month,
        usage_date,
        cast(sum(events) as bigint) as events,
        cast(sum(failed_events) as bigint) as failed_events,
        cast(sum(unrated_events) as bigint) as unrated_events,
        cast(sum(credits) as decimal(38, 9)) as credits,
        cast(sum(exposure_low_credits) as decimal(38, 9)) as exposure_low_credits,
        cast(sum(exposure_high_credits) as decimal(38, 9)) as exposure_high_credits,
        cast(sum(unbounded_events) as bigint) as unbounded_events,
        cast(
            sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens) as bigint
        ) as total_tokens,
        cast(sum(provider_cost_usd) as decimal(38, 12)) as provider_cost_usd,
        cast(sum(unpriced_events) as bigint) as unpriced_events,
        min(first_occurred_at) as first_occurred_at,
        max(last_occurred_at) as last_occurred_at
    from daily
    where {{ is_in_touched_month('usage_date_utc', 'usage_date') }}
    group by
        account_id,
        usage_date

)

select * from account_days
