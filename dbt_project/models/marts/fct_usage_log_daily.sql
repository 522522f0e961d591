-- Grain: one row an account, a day in its time zone, an agent, a category, a model and a status.

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

log_days as (

    select
        account_id,
        cast(date_trunc('month', usage_date) as date) as month,
        usage_date,
        agent_id,
        category,
        model,
        status,
        cast(sum(events) as bigint) as events,
        cast(sum(unrated_events) as bigint) as unrated_events,
        cast(sum(credits) as decimal(38, 9)) as credits,
        cast(
            sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens) as bigint
        ) as total_tokens,
        cast(sum(execution_ms) as decimal(38, 3)) as execution_ms,
        cast(sum(provider_cost_usd) as decimal(38, 12)) as provider_cost_usd,
        cast(sum(unpriced_events) as bigint) as unpriced_events
    from daily
    where {{ is_in_touched_month('usage_date_utc', 'usage_date') }}
    group by
        account_id,
        usage_date,
        agent_id,
        category,
        model,
        status

)

select * from log_days
