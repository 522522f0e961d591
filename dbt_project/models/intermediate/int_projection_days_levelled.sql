-- Grain: one row a touched account and a whole day in its time zone, from its first usage to the day
-- before today: what was used, and the level of the weekday as it was known when the day had ended.

with

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

accounts as (

    select * from {{ ref('int_projection_accounts_dated') }}

),

-- A bounded calendar: joins by weekday would else go through all of its days.
dates as (

    select * from {{ ref('dim_date') }}
    where
        date_day >= (select min(accounts.first_date) from accounts)
        and date_day <= (select max(accounts.today) from accounts)

),

days as (

    select
        accounts.account_id,
        dates.date_day as usage_date,
        dates.iso_weekday,
        cast({{ days_between('accounts.first_date', 'dates.date_day') }} as integer) as day_number,
        coalesce(account_days.credits, 0) as credits
    from accounts
    inner join dates
        on
            accounts.first_date <= dates.date_day
            and accounts.today > dates.date_day
    left join account_days
        on
            accounts.account_id = account_days.account_id
            and dates.date_day = account_days.usage_date

),

weekdays as (

    select
        days.*,
        {{ median_over(
            'cast(credits as double)',
            'partition by account_id, iso_weekday order by usage_date rows between '
            ~ (var('projection_recent_weeks') | int - 1) ~ ' preceding and current row'
        ) }} as recent_median,
        sum(credits) over (
            partition by account_id, iso_weekday
            order by usage_date
            rows between {{ var('projection_weeks') | int - 1 }} preceding and current row
        ) as total,
        max(credits) over (
            partition by account_id, iso_weekday
            order by usage_date
            rows between {{ var('projection_weeks') | int - 1 }} preceding and current row
        ) as highest,
        min(credits) over (
            partition by account_id, iso_weekday
            order by usage_date
            rows between {{ var('projection_weeks') | int - 1 }} preceding and current row
        ) as lowest,
        sum(case when credits = 0 then 1 else 0 end) over (
            partition by account_id, iso_weekday
            order by usage_date
            rows between {{ var('projection_weeks') | int - 1 }} preceding and current row
        ) as idle_days,
        count(*) over (
            partition by account_id, iso_weekday
            order by usage_date
            rows between {{ var('projection_weeks') | int - 1 }} preceding and current row
        ) as days
    from days

),

levelled as (

    select
        account_id,
        usage_date,
        day_number,
        cast(credits as decimal(38, 9)) as credits,
        {{ projected_level('recent_median', 'total', 'highest', 'lowest', 'idle_days', 'days') }} as level_credits
    from weekdays

),

-- Sums up to a day: what lies between two days is a difference of two of them.
summed as (

    select
        levelled.*,
        sum(credits) over (
            partition by account_id
            order by day_number
            rows between unbounded preceding and current row
        ) as credits_to_date,
        sum(level_credits) over (
            partition by account_id
            order by day_number
            rows between unbounded preceding and current row
        ) as levels_to_date,
        sum(level_credits) over (
            partition by account_id
            order by day_number
            rows between 6 preceding and current row
        ) as week_levels
    from levelled

),

-- A year is 52 weeks, so that weekdays meet.
final as (

    select
        summed.*,
        lag(credits_to_date, 364) over (partition by account_id order by day_number)
            as year_before_credits_to_date,
        lag(levels_to_date, 364) over (partition by account_id order by day_number)
            as year_before_levels_to_date,
        lag(week_levels, 364) over (partition by account_id order by day_number)
            as year_before_week_levels
    from summed

)

select * from final
