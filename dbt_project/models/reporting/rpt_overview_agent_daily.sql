-- Grain: one row an account, an agent and a day in the account's time zone with usage.

with

daily as (

    select * from {{ ref('fct_usage_daily') }}

),

agent_days as (

    select
        account_id,
        agent_id,
        usage_date,
        cast(sum(credits) as decimal(38, 9)) as credits
    from daily
    group by
        account_id,
        agent_id,
        usage_date

)

select * from agent_days
