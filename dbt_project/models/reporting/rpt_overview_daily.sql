-- Grain: one row an account and a day in its time zone, without gaps between its first and its
-- last day with usage.

with

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

dates as (

    select * from {{ ref('dim_date') }}

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

weeks_ahead as (

    {% for weeks in range(1, (var('spike_weeks') | int) + 1) %}
        select {{ weeks }} as weeks{{ ' union all' if not loop.last }}
    {% endfor %}

),

-- What the same weekday had in the weeks before.
ranges as (

    select
        days.account_id,
        {{ add_days('days.usage_date', '7 * weeks_ahead.weeks') }} as usage_date,
        count(*) as points,
        percentile_cont(0.25) within group (order by days.credits) as low_quartile,
        percentile_cont(0.5) within group (order by days.credits) as median_credits,
        percentile_cont(0.75) within group (order by days.credits) as high_quartile
    from days
    cross join weeks_ahead
    group by
        days.account_id,
        {{ add_days('days.usage_date', '7 * weeks_ahead.weeks') }}

),

levelled as (

    select
        days.*,
        avg(days.credits) over (
            partition by days.account_id
            order by days.usage_date
            rows between {{ 7 * (var('spike_weeks') | int) }} preceding and 1 preceding
        ) as level_credits
    from days

),

ranged as (

    select
        levelled.account_id,
        levelled.month,
        levelled.usage_date,
        levelled.credits,
        levelled.events,
        levelled.failed_events,
        cast(ranges.median_credits as decimal(38, 9)) as median_credits,
        cast(
            greatest(
                ranges.high_quartile
                + {{ var('spike_fence') }} * (ranges.high_quartile - ranges.low_quartile),
                {{ var('spike_min_ratio') }} * ranges.median_credits,
                ranges.median_credits + {{ var('spike_min_share') }} * levelled.level_credits,
                ranges.median_credits + {{ var('spike_min_credits') }}
            ) as decimal(38, 9)
        ) as high_credits
    from levelled
    left join ranges
        on
            levelled.account_id = ranges.account_id
            and levelled.usage_date = ranges.usage_date
            and ranges.points >= {{ var('spike_min_points') }}

),

final as (

    select
        account_id,
        month,
        usage_date,
        credits,
        events,
        failed_events,
        median_credits,
        high_credits,
        coalesce(credits > high_credits, false) as is_spike
    from ranged

)

select * from final
