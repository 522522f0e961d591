-- Grain: one row a UTC day, a day of the account, an account, an agent, a category, a model and a
-- status.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        on_schema_change='fail',
        partitioned_by='usage_date_utc',
    )
}}

with

usage as (

    select * from {{ ref('fct_usage') }}

),

daily as (

    select
        usage_date_utc,
        usage_date,
        account_id,
        agent_id,
        category,
        model,
        status,
        cast(count(*) as bigint) as events,
        cast(count(*) filter (where status <> 'ok') as bigint) as failed_events,
        cast(count(*) filter (where rating_status = 'unrated') as bigint) as unrated_events,
        cast(coalesce(sum(credits), 0) as decimal(38, 9)) as credits,
        cast(sum(logged_credits) as decimal(38, 9)) as logged_credits,
        cast(sum(card_credits) as decimal(38, 9)) as card_credits,
        cast(coalesce(sum(exposure_low_credits), 0) as decimal(38, 9)) as exposure_low_credits,
        cast(coalesce(sum(exposure_high_credits), 0) as decimal(38, 9)) as exposure_high_credits,
        cast(
            count(*) filter (where rating_status = 'unrated' and exposure_high_credits is null) as bigint
        ) as unbounded_events,
        cast(coalesce(sum(input_tokens), 0) as bigint) as input_tokens,
        cast(coalesce(sum(cache_read_tokens), 0) as bigint) as cache_read_tokens,
        cast(coalesce(sum(cache_write_tokens), 0) as bigint) as cache_write_tokens,
        cast(coalesce(sum(output_tokens), 0) as bigint) as output_tokens,
        cast(coalesce(sum(execution_ms), 0) as decimal(38, 3)) as execution_ms,
        cast(sum(provider_cost_usd) as decimal(38, 12)) as provider_cost_usd,
        cast(
            count(*) filter (where provider_cost_status in ('unknown_model', 'no_price')) as bigint
        ) as unpriced_events,
        min(occurred_at) as first_occurred_at,
        max(occurred_at) as last_occurred_at
    from usage
    where {{ is_touched_day('usage_date_utc') }}
    group by
        usage_date_utc,
        usage_date,
        account_id,
        agent_id,
        category,
        model,
        status

)

select * from daily
