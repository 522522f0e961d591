-- Grain: one row a projection that is made of a touched account: of the month and of the days ahead
-- from today on, and of past months as they would have been made on some of their days.

{{ config(materialized='ephemeral') }}

with

accounts as (

    select * from {{ ref('int_projection_accounts_dated') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

replayed_days as (

    {% for days in [3, 10, 20] %}
        select {{ days }} as elapsed_days{{ ' union all' if not loop.last }}
    {% endfor %}

),

months as (

    select
        accounts.account_id,
        accounts.first_date,
        dates.date_day as month,
        {{ next_month('dates.date_day') }} as next_month
    from accounts
    inner join dates
        on
            dates.day_of_month = 1
            and accounts.month > dates.date_day
            and dates.date_day >= {{ add_days('accounts.month', '-366') }}
            and {{ next_month('dates.date_day') }} > accounts.first_date

),

probes as (

    select
        account_id,
        'month' as purpose,
        month,
        cast({{ days_between('month', 'today') }} as integer) as elapsed_days,
        history_days as origin_day,
        cast({{ days_between('today', next_month('month')) }} as integer) as horizon_days
    from accounts

    union all

    select
        account_id,
        'ahead' as purpose,
        month,
        cast({{ days_between('month', 'today') }} as integer) as elapsed_days,
        history_days as origin_day,
        {{ var('projection_days_ahead') }} as horizon_days
    from accounts

    union all

    select
        months.account_id,
        'replay' as purpose,
        months.month,
        replayed_days.elapsed_days,
        cast(
            {{ days_between('months.first_date', 'months.month') }} + replayed_days.elapsed_days
            as integer
        ) as origin_day,
        cast(
            {{ days_between('months.month', 'months.next_month') }} - replayed_days.elapsed_days
            as integer
        ) as horizon_days
    from months
    cross join replayed_days

),

-- A level of every weekday is known after a week.
final as (

    select *
    from probes
    where origin_day >= 7

)

select * from final
