-- Grain: one row a time zone in use and a UTC day with events: the local date it begins with, the
-- one it ends with, and the instant between them.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        on_schema_change='fail',
    )
}}

with

account_terms as (

    select * from {{ ref('int_account_terms_dated') }}

),

events as (

    select * from {{ ref('stg_raw__usage_events') }}

),

zones as (

    select time_zone
    from account_terms

    union distinct

    select 'UTC' as time_zone

),

days as (

    select distinct usage_date_utc
    from events
    where {{ is_touched_day('usage_date_utc') }}

),

zone_days as (

    select
        zones.time_zone,
        days.usage_date_utc,
        cast(days.usage_date_utc as timestamp) as begins_at,
        {{ add_days('days.usage_date_utc', 1) }} as next_date_utc
    from zones
    cross join days

),

local_dates as (

    select
        time_zone,
        usage_date_utc,
        next_date_utc,
        cast({{ utc_to_local('begins_at', 'time_zone') }} as date) as first_date,
        cast(
            {{ utc_to_local("begins_at + interval '24' hour - interval '1' second", 'time_zone') }}
            as date
        ) as last_date
    from zone_days

),

cut as (

    select
        time_zone,
        usage_date_utc,
        first_date,
        last_date,
        case
            when first_date = last_date then cast(next_date_utc as timestamp)
            else {{ local_day_start('last_date', 'time_zone') }}
        end as cut_at
    from local_dates

)

select * from cut
