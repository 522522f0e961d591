-- Grain: one row an account, a scope of it (the account, a category, a model, an agent) and a day on
-- which it used far more than is usual for its weekday.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_spike_months',
        on_schema_change='fail',
        partitioned_by='month',
        sorted_by='account_id',
    )
}}

with

log_days as (

    select * from {{ ref('fct_usage_log_daily') }}
    where {{ is_month_for_spikes('month') }}

),

all_days as (

    select * from {{ ref('fct_usage_log_daily') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}
    where {{ is_month_for_spikes('month') }}

),

expected_days as (

    select * from {{ ref('int_usage_days_expected') }}

),

weeks as (

    select
        account_id,
        case
            when grouping(agent_id) = 0 then 'agent'
            when grouping(model) = 0 then 'model'
            when grouping(category) = 0 then 'category'
            else 'account'
        end as scope,
        coalesce(agent_id, model, category, account_id) as scope_id,
        {{ week_of('usage_date') }} as week_start,
        {{ spread_over_week('usage_date', 'credits') }}
    from log_days
    group by grouping sets (
        (account_id, {{ week_of('usage_date') }}),
        (account_id, {{ week_of('usage_date') }}, category),
        (account_id, {{ week_of('usage_date') }}, model),
        (account_id, {{ week_of('usage_date') }}, agent_id)
    )

),

candidates as (

    select * from {{ weeks_compared('weeks', only_candidates=true) }}

),

account_weeks as (

    select
        account_id,
        {{ week_of('usage_date') }} as week_start,
        sum(credits) as credits
    from account_days
    group by
        account_id,
        {{ week_of('usage_date') }}

),

-- The account's mean day of the weeks before in which it used something.
account_levels as (

    select
        weeks_now.account_id,
        weeks_now.week_start,
        cast(sum(weeks_before.credits) as double) / count(*) / 7 as level_credits
    from account_weeks as weeks_now
    inner join account_weeks as weeks_before
        on
            weeks_now.account_id = weeks_before.account_id
            and weeks_now.week_start > weeks_before.week_start
            and {{ add_days('weeks_now.week_start', '-7 * ' ~ var('spike_weeks')) }} <= weeks_before.week_start
    group by
        weeks_now.account_id,
        weeks_now.week_start

),

-- What was used on days that are marked as expected: as much is usual for a while.
expected_levels as (

    select
        all_days.account_id,
        case
            when grouping(all_days.agent_id) = 0 then 'agent'
            when grouping(all_days.model) = 0 then 'model'
            when grouping(all_days.category) = 0 then 'category'
            else 'account'
        end as scope,
        coalesce(all_days.agent_id, all_days.model, all_days.category, all_days.account_id) as scope_id,
        all_days.usage_date,
        sum(all_days.credits) as credits
    from all_days
    inner join expected_days
        on
            all_days.account_id = expected_days.account_id
            and all_days.usage_date = expected_days.usage_date
    group by grouping sets (
        (all_days.account_id, all_days.usage_date),
        (all_days.account_id, all_days.usage_date, all_days.category),
        (all_days.account_id, all_days.usage_date, all_days.model),
        (all_days.account_id, all_days.usage_date, all_days.agent_id)
    )

),

ranged as (

    select
        candidates.*,
        {{ expected_credits('candidates') }} as expected,
        {{ high_credits('candidates', 'account_levels.level_credits') }} as high
    from candidates
    left join account_levels
        on
            candidates.account_id = account_levels.account_id
            and {{ week_of('candidates.usage_date') }} = account_levels.week_start

),

outside as (

    select *
    from ranged
    where
        credits > high
        and {{ is_spike_month("cast(date_trunc('month', usage_date) as date)") }}

),

allowed as (

    select
        outside.account_id,
        outside.scope,
        outside.scope_id,
        outside.usage_date,
        max(expected_levels.credits) as credits
    from outside
    inner join expected_levels
        on
            outside.account_id = expected_levels.account_id
            and outside.scope = expected_levels.scope
            and outside.scope_id = expected_levels.scope_id
            and outside.usage_date > expected_levels.usage_date
            and {{ add_days('outside.usage_date', '-1 * ' ~ var('spike_expected_days')) }}
            <= expected_levels.usage_date
    group by
        outside.account_id,
        outside.scope,
        outside.scope_id,
        outside.usage_date

),

anomalies as (

    select
        outside.account_id,
        outside.scope,
        outside.scope_id,
        cast(date_trunc('month', outside.usage_date) as date) as month,
        outside.usage_date,
        outside.first_week,
        expected_days.usage_date is not null as is_expected,
        cast(outside.credits as decimal(38, 9)) as credits,
        cast(outside.expected as decimal(38, 9)) as expected_credits,
        cast(outside.high as decimal(38, 9)) as high_credits,
        {{ ratio('outside.credits - outside.expected', 'outside.high - outside.expected', 18, 2) }} as severity
    from outside
    left join allowed
        on
            outside.account_id = allowed.account_id
            and outside.scope = allowed.scope
            and outside.scope_id = allowed.scope_id
            and outside.usage_date = allowed.usage_date
    left join expected_days
        on
            outside.account_id = expected_days.account_id
            and outside.usage_date = expected_days.usage_date
    where
        expected_days.usage_date is not null
        or outside.credits > coalesce(allowed.credits, 0)

)

select * from anomalies
