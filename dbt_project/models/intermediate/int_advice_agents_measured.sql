-- Grain: one row an account and an agent, its calls in the days that advice looks at.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_advice',
        on_schema_change='fail',
    )
}}

with

events as (

    select * from {{ ref('int_advice_events_marked') }}
    where {{ is_advice_day('usage_date_utc') }}

),

measured as (

    select
        account_id,
        agent_id,
        count(*) as events,
        count(*) filter (where status = 'error') as failed_events,
        count(*) filter (where status = 'ok') as ok_events,
        cast(sum(credits) as decimal(38, 9)) as credits,
        cast(coalesce(sum(credits) filter (where status = 'error'), 0) as decimal(38, 9)) as failed_credits
    from events
    group by
        account_id,
        agent_id

)

select * from measured
