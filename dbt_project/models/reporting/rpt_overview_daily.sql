-- Grain: one row an account and a day in its time zone, without gaps between its first and its
-- last day with usage.

with

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

anomalies as (

    select * from {{ ref('fct_usage_anomaly') }}

),

incidents as (

    select * from {{ ref('fct_incident') }}

),

spans as (

    select
        account_id,
        min(usage_date) as first_date,
        max(usage_date) as last_date
    from account_days
    group by account_id

),

spine as (

    select
        spans.account_id,
        dates.date_day as usage_date,
        dates.month
    from spans
    inner join dates
        on
            spans.first_date <= dates.date_day
            and spans.last_date >= dates.date_day

),

days as (

    select
        spine.account_id,
        spine.month,
        spine.usage_date,
        coalesce(account_days.credits, 0) as credits,
        coalesce(account_days.events, 0) as events,
        coalesce(account_days.failed_events, 0) as failed_events
    from spine
    left join account_days
        on
            spine.account_id = account_days.account_id
            and spine.usage_date = account_days.usage_date

),

weeks as (

    select
        account_id,
        'account' as scope,
        account_id as scope_id,
        {{ week_of('usage_date') }} as week_start,
        {{ spread_over_week('usage_date', 'credits') }}
    from account_days
    group by
        account_id,
        {{ week_of('usage_date') }}

),

compared as (

    select * from {{ weeks_compared('weeks') }}

),

-- The account's level is the day's own here.
ranged as (

    select
        compared.account_id,
        compared.usage_date,
        {{ expected_credits('compared') }} as expected_credits,
        {{ high_credits('compared', '0') }} as high_credits
    from compared
    where weeks_before >= {{ var('spike_min_points') }}

),

final as (

    select
        days.account_id,
        days.month,
        days.usage_date,
        days.credits,
        days.events,
        days.failed_events,
        cast(ranged.expected_credits as decimal(38, 9)) as expected_credits,
        cast(ranged.high_credits as decimal(38, 9)) as high_credits,
        coalesce(not anomalies.is_expected, false) as is_spike,
        coalesce(anomalies.is_expected, false) as is_expected,
        incidents.first_date as incident_date
    from days
    left join ranged
        on
            days.account_id = ranged.account_id
            and days.usage_date = ranged.usage_date
    left join anomalies
        on
            days.account_id = anomalies.account_id
            and days.usage_date = anomalies.usage_date
            and anomalies.scope = 'account'
    left join incidents
        on
            days.account_id = incidents.account_id
            and days.usage_date >= incidents.first_date
            and days.usage_date <= incidents.last_date
            and anomalies.usage_date is not null

)

select * from final
