-- Grain: one row an account, a month in which something is posted, a currency and an account of the chart.
-- Worked out when it is read.

{{ config(materialized='view') }}

with

entries as (

    select * from {{ ref('fct_book_entry') }}

),

summed as (

    select
        account_id,
        month,
        currency,
        book_account,
        is_closed,
        sum(greatest(amount_minor, 0)) as debit_minor,
        sum(greatest(-amount_minor, 0)) as credit_minor
    from entries
    group by
        account_id,
        month,
        currency,
        book_account,
        is_closed

),

running as (

    select
        summed.*,
        sum(debit_minor - credit_minor) over (
            partition by account_id, currency, book_account
            order by month
            rows between unbounded preceding and current row
        ) as closing_minor
    from summed

),

final as (

    select
        account_id,
        month,
        currency,
        book_account,
        cast(closing_minor - debit_minor + credit_minor as bigint) as opening_minor,
        cast(debit_minor as bigint) as debit_minor,
        cast(credit_minor as bigint) as credit_minor,
        cast(closing_minor as bigint) as closing_minor,
        is_closed
    from running

)

select * from final
