-- Grain: one row a touched account with usage: its first day, and today in its time zone.

with

touched as (

    select * from {{ ref('int_projection_accounts_touched') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

accounts as (

    select * from {{ ref('dim_account') }}

),

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

firsts as (

    select
        account_id,
        min(usage_date) as first_date
    from account_days
    group by account_id

),

clocks as (

    select
        touched.account_id,
        firsts.first_date,
        cast({{ utc_to_local('bounds.as_of', "coalesce(accounts.time_zone, 'UTC')") }} as date) as today
    from touched
    inner join firsts
        on touched.account_id = firsts.account_id
    left join accounts
        on touched.account_id = accounts.account_id
    cross join bounds

),

-- Usage that the account's days hold already though they have not begun counts as today's.
dated as (

    select
        account_id,
        least(first_date, today) as first_date,
        today,
        cast(date_trunc('month', today) as date) as month,
        cast({{ days_between('least(first_date, today)', 'today') }} as integer) as history_days
    from clocks

)

select * from dated
