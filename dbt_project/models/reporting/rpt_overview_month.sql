-- Grain: one row an account and a month in its time zone, without gaps between its first and its
-- last month with usage.

with

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

accounts as (

    select * from {{ ref('dim_account') }}

),

freshness as (

    select * from {{ ref('rpt_freshness') }}

),

projections as (

    select * from {{ ref('fct_projection') }}

),

run_outs as (

    select * from {{ ref('fct_projection_run_out') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

account_months as (

    select
        account_id,
        month,
        sum(credits) as credits,
        sum(events) as events,
        sum(failed_events) as failed_events,
        sum(unrated_events) as unrated_events,
        sum(exposure_low_credits) as exposure_low_credits,
        sum(exposure_high_credits) as exposure_high_credits,
        sum(unbounded_events) as unbounded_events,
        sum(total_tokens) as total_tokens,
        sum(provider_cost_usd) as provider_cost_usd,
        sum(unpriced_events) as unpriced_events
    from account_days
    group by
        account_id,
        month

),

spans as (

    select
        account_id,
        min(month) as first_month,
        max(month) as last_month
    from account_months
    group by account_id

),

clocks as (

    select
        spans.account_id,
        spans.first_month,
        spans.last_month,
        {{ utc_to_local('freshness.as_of', "coalesce(accounts.time_zone, 'UTC')") }} as local_as_of
    from spans
    left join accounts
        on spans.account_id = accounts.account_id
    cross join freshness

),

spine as (

    select
        clocks.account_id,
        clocks.first_month,
        clocks.local_as_of,
        dates.date_day as month,
        {{ previous_month('dates.date_day') }} as previous_month,
        {{ next_month('dates.date_day') }} as next_month
    from clocks
    inner join dates
        on
            clocks.first_month <= dates.date_day
            and clocks.last_month >= dates.date_day
    where dates.day_of_month = 1

),

-- How much of the month had passed when the newest batch was loaded, in the account's time zone.
elapsed as (

    select
        account_id,
        first_month,
        month,
        previous_month,
        cast({{ days_between('month', 'next_month') }} as integer) as days_in_month,
        local_as_of >= cast(next_month as timestamp) as is_complete,
        cast(
            least(
                greatest({{ elapsed_days_between('month', 'local_as_of') }}, 0),
                {{ days_between('month', 'next_month') }}
            ) as decimal(10, 4)
        ) as elapsed_days
    from spine

),

-- The month before, up to the same time of the month: whole days and a part of the last one.
previous_to_date as (

    select
        elapsed.account_id,
        elapsed.month,
        sum(
            case
                when elapsed.is_complete then account_days.credits
                when extract(day from account_days.usage_date) <= floor(elapsed.elapsed_days)
                    then account_days.credits
                when extract(day from account_days.usage_date) = floor(elapsed.elapsed_days) + 1
                    then cast(
                        {{ round_half_up(
                            "account_days.credits * cast(elapsed.elapsed_days - floor(elapsed.elapsed_days)"
                            " as decimal(5, 4))", 9
                        ) }}
                        as decimal(38, 9)
                    )
                else 0
            end
        ) as credits
    from elapsed
    inner join account_days
        on
            elapsed.account_id = account_days.account_id
            and elapsed.previous_month = account_days.month
    group by
        elapsed.account_id,
        elapsed.month

),

months as (

    select
        elapsed.account_id,
        elapsed.month,
        cast(coalesce(account_months.credits, 0) as decimal(38, 9)) as credits,
        cast(coalesce(account_months.events, 0) as bigint) as events,
        cast(coalesce(account_months.failed_events, 0) as bigint) as failed_events,
        cast(coalesce(account_months.unrated_events, 0) as bigint) as unrated_events,
        cast(coalesce(account_months.exposure_low_credits, 0) as decimal(38, 9))
            as exposure_low_credits,
        case
            when coalesce(account_months.unbounded_events, 0) = 0
                then cast(coalesce(account_months.exposure_high_credits, 0) as decimal(38, 9))
        end as exposure_high_credits,
        cast(coalesce(account_months.total_tokens, 0) as bigint) as total_tokens,
        cast(account_months.provider_cost_usd as decimal(38, 12)) as provider_cost_usd,
        cast(coalesce(account_months.unpriced_events, 0) as bigint) as unpriced_events,
        case
            when elapsed.month > elapsed.first_month
                then cast(coalesce(previous_months.credits, 0) as decimal(38, 9))
        end as previous_credits,
        case
            when elapsed.month > elapsed.first_month
                then cast(coalesce(previous_to_date.credits, 0) as decimal(38, 9))
        end as previous_credits_to_date,
        elapsed.days_in_month,
        elapsed.elapsed_days,
        elapsed.is_complete,
        cast(coalesce(projections.projected_credits, account_months.credits, 0) as decimal(38, 9))
            as projected_credits,
        cast(projections.projected_low_credits as decimal(38, 9)) as projected_low_credits,
        cast(projections.projected_high_credits as decimal(38, 9)) as projected_high_credits,
        cast(projections.projected_cost_usd as decimal(38, 12)) as projected_cost_usd,
        cast(projections.projected_low_cost_usd as decimal(38, 12)) as projected_low_cost_usd,
        cast(projections.projected_high_cost_usd as decimal(38, 12)) as projected_high_cost_usd,
        projections.history_days,
        projections.is_thin,
        run_outs.run_out_date,
        run_outs.earliest_run_out_date,
        run_outs.latest_run_out_date
    from elapsed
    left join account_months
        on
            elapsed.account_id = account_months.account_id
            and elapsed.month = account_months.month
    left join account_months as previous_months
        on
            elapsed.account_id = previous_months.account_id
            and elapsed.previous_month = previous_months.month
    left join projections
        on
            elapsed.account_id = projections.account_id
            and projections.scope = 'account'
            and elapsed.month = projections.month
    left join run_outs
        on projections.account_id = run_outs.account_id
    left join previous_to_date
        on
            elapsed.account_id = previous_to_date.account_id
            and elapsed.month = previous_to_date.month

)

select * from months
