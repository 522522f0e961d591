-- Grain: one row a current usage event.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        on_schema_change='fail',
        partitioned_by='usage_date_utc',
        sorted_by=['account_id', 'occurred_at'],
    )
}}

with

events as (

    select * from {{ ref('int_usage_events_costed') }}

),

final as (

    select
        ---------- ids
        source,
        event_id,
        revision,
        load_id,
        line_number,
        account_id,
        agent_id,
        session_id,
        request_hash,

        ---------- texts
        category,
        coalesce(model, '(none)') as model,
        status,
        rating_status,
        provider_cost_status,
        tags,

        ---------- numbers
        execution_ms,
        logged_credits,
        card_credits,
        credits,
        cast(exposure_low_credits as decimal(18, 9)) as exposure_low_credits,
        cast(exposure_high_credits as decimal(18, 9)) as exposure_high_credits,
        input_tokens,
        cache_read_tokens,
        cache_write_tokens,
        output_tokens,
        provider_cost_usd,

        ---------- dates and timestamps
        usage_date_utc,
        usage_date,
        occurred_at
    from events
    where {{ is_touched_day('usage_date_utc') }}

)

select * from final
