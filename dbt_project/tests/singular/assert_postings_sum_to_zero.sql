-- Fails on postings whose entries do not add up to zero, in credits or in money.

{{ config(meta={'dagster': {'ref': {'name': 'fct_credit_ledger'}}}) }}

-- depends_on: {{ ref('int_credit_accounts_touched') }}

with

entries as (

    select * from {{ ref('fct_credit_ledger') }}
    where {{ is_checked_account('account_id') }}

),

unbalanced as (

    select
        account_id,
        posting_kind,
        lot_id,
        usage_date,
        segment,
        sum(credits) as credits,
        sum(amount_minor) as amount_minor
    from entries
    group by
        account_id,
        posting_kind,
        lot_id,
        usage_date,
        segment
    having
        sum(credits) <> 0
        or sum(amount_minor) <> 0

)

select * from unbalanced
