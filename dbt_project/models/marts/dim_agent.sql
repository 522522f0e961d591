-- Grain: one row an account and an agent of it that has usage.

with

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

agents as (

    select
        account_id,
        agent_id,
        min(first_occurred_at) as first_used_at,
        max(last_occurred_at) as last_used_at
    from months
    group by
        account_id,
        agent_id

)

select * from agents
