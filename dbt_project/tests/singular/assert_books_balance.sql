-- Fails on postings of the books, and balances of months, whose debits and credits differ.

{{ config(meta={'dagster': {'ref': {'name': 'fct_book_entry'}}}) }}

-- depends_on: {{ ref('int_credit_accounts_touched') }}

with

entries as (

    select * from {{ ref('fct_book_entry') }}
    where {{ is_checked_account('account_id') }}

),

unbalanced as (

    select
        account_id,
        month,
        currency,
        source,
        document,
        sum(amount_minor) as off_minor
    from entries
    group by
        account_id,
        month,
        currency,
        source,
        document
    having sum(amount_minor) <> 0

)

select * from unbalanced
