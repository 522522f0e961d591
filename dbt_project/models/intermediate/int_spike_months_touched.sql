-- Grain: one row a month, in the accounts' days, whose spikes this run looks at anew: those that a
-- touched day or a new mark may be in, and those whose days are compared with it.

{%- set published = published_load_id() %}
{%- set reach = [7 * (var('spike_reach_weeks') | int) + 7, var('spike_expected_days') | int] | max %}

with

touched_days as (

    select * from {{ ref('int_usage_touched_days') }}

),

marks as (

    select * from {{ ref('stg_raw__incident_marks') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

used as (

    select max(month) as last_month
    from account_days

),

-- A local date is at most one day off the UTC one.
spans as (

    select
        {{ add_days('usage_date_utc', -1) }} as first_date,
        {{ add_days('usage_date_utc', reach + 1) }} as last_date
    from touched_days

    union all

    select
        first_date,
        {{ add_days('last_date', reach) }} as last_date
    from marks
    where load_id > {{ published }}

),

reaches as (

    select
        first_date,
        max(last_date) as last_date
    from spans
    group by first_date

),

touched as (

    select distinct dates.month
    from reaches
    inner join dates
        on
            reaches.first_date <= dates.date_day
            and reaches.last_date >= dates.date_day
    inner join used
        on dates.month <= used.last_month

)

select * from touched
