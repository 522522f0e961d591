-- Grain: one row an account, a month in its time zone and an agent with usage.

with

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

summed as (

    select
        account_id,
        month,
        agent_id,
        cast(sum(credits) as decimal(38, 9)) as credits,
        cast(sum(events) as bigint) as events,
        cast(sum(unrated_events) as bigint) as unrated_events,
        cast(sum(failed_events) as bigint) as failed_events,
        max(last_occurred_at) as last_used_at
    from months
    group by
        account_id,
        month,
        agent_id

),

shared as (

    select
        account_id,
        month,
        agent_id,
        credits,
        {{ ratio('credits', 'sum(credits) over (partition by account_id, month)', 9, 6) }} as share,
        events,
        unrated_events,
        failed_events,
        last_used_at
    from summed

)

select * from shared
