-- Grain: one row an account and a day of it that is marked as expected.

with

marks as (

    select * from {{ ref('stg_raw__incident_marks') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

-- Of the marks that hold for a day the newest counts.
days as (

    select
        marks.account_id,
        dates.date_day as usage_date,
        marks.is_expected,
        marks.reason,
        row_number() over (
            partition by marks.account_id, dates.date_day
            order by marks.mark_id desc
        ) as mark_rank
    from marks
    inner join dates
        on
            marks.first_date <= dates.date_day
            and marks.last_date >= dates.date_day

),

expected as (

    select
        account_id,
        usage_date,
        reason
    from days
    where
        mark_rank = 1
        and is_expected

)

select * from expected
