-- Grain: one row an account, a month of it, a currency (null: without cash) and a rate of tax (null: not
-- known) of lots: what moved in these lots. Worked out when it is read.

{{ config(materialized='view') }}

with

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

lots as (

    select * from {{ ref('int_credit_lots_marked') }}

),

taxes as (

    select * from {{ ref('int_account_taxes_dated') }}

),

lot_months as (

    select
        lot_id,
        cast(date_trunc('month', posted_date) as date) as lot_month
    from postings
    where posting_kind = 'grant'

),

-- What a refund leaves of a lot goes on as a lot with its cash: it counts against the refund.
told as (

    select
        postings.account_id,
        cast(date_trunc('month', postings.posted_date) as date) as month,
        postings.currency,
        lot_months.lot_month,
        case
            when postings.posting_kind = 'grant' and lots.is_remainder then 'remainder'
            else postings.posting_kind
        end as kind,
        postings.credits,
        postings.value_minor,
        postings.cash_minor,
        postings.receivable_minor
    from postings
    inner join lot_months
        on postings.lot_id = lot_months.lot_id
    left join lots
        on postings.lot_id = lots.lot_id

),

by_kind as (

    select
        account_id,
        month,
        currency,
        lot_month,
        kind,
        sum(credits) as credits,
        sum(value_minor) as value_minor,
        sum(cash_minor) as cash_minor,
        sum(receivable_minor) as claimed_minor
    from told
    group by
        account_id,
        month,
        currency,
        lot_month,
        kind

),

taxed as (

    select
        by_kind.*,
        case when by_kind.currency is not null then taxes.tax_percent end as tax_percent
    from by_kind
    left join taxes
        on
            by_kind.account_id = taxes.account_id
            and by_kind.lot_month >= taxes.first_month
            and by_kind.lot_month < taxes.end_month

),

summed as (

    select
        account_id,
        month,
        currency,
        tax_percent,
        sum(case when kind = 'grant' then credits else 0 end) as granted_credits,
        sum(case when kind in ('consumption', 'overage_payment') then credits else 0 end)
            as consumed_credits,
        sum(case when kind = 'expiry' then credits else 0 end) as expired_credits,
        sum(case when kind = 'void' then credits else 0 end) as voided_credits,
        sum(case kind when 'refund' then credits when 'remainder' then -credits else 0 end)
            as refunded_credits,
        sum(case when kind = 'chargeback' then credits else 0 end) as charged_back_credits,
        sum(case when kind = 'grant' then value_minor else 0 end) as sold_minor,
        sum(case when kind in ('consumption', 'overage_payment') then value_minor else 0 end)
            as consumed_minor,
        sum(case when kind = 'expiry' then value_minor else 0 end) as expired_minor,
        sum(case when kind = 'void' then value_minor else 0 end) as voided_minor,
        sum(case kind when 'refund' then value_minor when 'remainder' then -value_minor else 0 end)
            as refunded_minor,
        sum(case when kind = 'chargeback' then value_minor else 0 end) as charged_back_minor,
        sum(case when kind <> 'grant' then -cash_minor - claimed_minor else 0 end) as returned_minor,
        sum(cash_minor) as cash_minor,
        sum(claimed_minor) as claimed_minor
    from taxed
    group by
        account_id,
        month,
        currency,
        tax_percent

)

select * from summed
