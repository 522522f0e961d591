-- Grain: one row a day of the calendar.

{{ config(materialized='view') }}

{%- set calendar_from = "date '" ~ var('calendar_from') ~ "'" %}
{%- set calendar_to = "date '" ~ var('calendar_to') ~ "'" %}

with

days as (

    select * from {{ date_spine_days(calendar_from, calendar_to) }}

),

dates as (

    select
        date_day,
        cast(date_trunc('month', date_day) as date) as month,
        cast(date_trunc('year', date_day) as date) as first_of_year,
        cast(extract(year from date_day) as integer) as year_number,
        cast(extract(month from date_day) as integer) as month_number,
        cast(extract(day from date_day) as integer) as day_of_month,
        {{ iso_weekday('date_day') }} as iso_weekday,
        {{ weekday_name('date_day') }} as weekday_name,
        {{ month_name('date_day') }} as month_name,
        {{ iso_weekday('date_day') }} >= 6 as is_weekend
    from days

)

select * from dates
