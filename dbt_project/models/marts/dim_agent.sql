-- Grain: one row an account and an agent of it that has usage.

with

daily as (

    select * from {{ ref('fct_usage_daily') }}

),

agents as (

    select
        account_id,
        agent_id,
        min(first_occurred_at) as first_used_at,
        max(last_occurred_at) as last_used_at
    from daily
    group by
        account_id,
        agent_id

)

select * from agents
