-- Grain: one row an account, an agent and a day in the account's time zone.

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

agent_days as (

    select
        account_id,
        cast(date_trunc('month', usage_date) as date) as month,
        agent_id,
        usage_date,
        cast(sum(events) as bigint) as events,
        cast(sum(failed_events) as bigint) as failed_events,
        cast(sum(credits) as decimal(38, 9)) as credits
    from daily
    where {{ is_in_touched_month('usage_date_utc', 'usage_date') }}
    group by
        account_id,
        agent_id,
        usage_date

)

select * from agent_days
