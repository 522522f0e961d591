-- Grain: one row an account, an agent and a day in the account's time zone with usage.

with

agent_days as (

    select * from {{ ref('fct_usage_agent_daily') }}

),

final as (

    select
        account_id,
        agent_id,
        usage_date,
        credits,
        events
    from agent_days

)

select * from final
