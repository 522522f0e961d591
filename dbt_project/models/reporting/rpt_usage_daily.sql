-- Grain: one row an account, a day in its time zone, an agent, a category, a model and a status.

with

log_days as (

    select * from {{ ref('fct_usage_log_daily') }}

),

final as (

    select
        account_id,
        month,
        usage_date,
        agent_id,
        category,
        model,
        status,
        events,
        unrated_events,
        credits,
        total_tokens,
        execution_ms,
        provider_cost_usd,
        unpriced_events
    from log_days

)

select * from final
