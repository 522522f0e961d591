-- Grain: one row an account, a month in its time zone, a currency and a kind of charge: what the month
-- owes as known now, whatever was invoiced of it. Worked out when it is read.

{{ config(materialized='view') }}

with

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

lots as (

    select * from {{ ref('int_credit_lots_marked') }}

),

told as (

    select
        postings.*,
        coalesce(lots.is_invoiced, false) as is_invoiced,
        coalesce(lots.is_remainder, false) as is_remainder,
        cast(date_trunc('month', postings.posted_date) as date) as posted_month,
        cast(date_trunc('month', postings.usage_date) as date) as usage_month
    from postings
    left join lots
        on postings.lot_id = lots.lot_id

),

-- What a refund leaves of a lot goes on as a lot with its cash: the two are one refund.
cash as (

    select
        account_id,
        posted_month as month,
        currency,
        case
            when posting_kind = 'grant' and is_remainder then 'refund'
            when posting_kind = 'grant' then 'purchase'
            else posting_kind
        end as kind,
        case when posting_kind = 'grant' then credits else -credits end as credits,
        cash_minor + receivable_minor as gross_minor,
        cash_minor as paid_minor
    from told
    where cash_minor <> 0 or receivable_minor <> 0

),

-- Usage that no lot paid by the end of its month. What was invoiced already is paid by lots that
-- begin later and so change nothing here; what they pay beyond that was freed by usage that was
-- withdrawn, and nobody else paid for it.
uncovered as (

    select
        told.account_id,
        told.usage_month as month,
        case told.posting_kind
            when 'overage' then told.credits
            when 'overage_payment'
                then case
                    when not told.is_invoiced and told.posted_at < months.ends_at then -told.credits
                    else 0
                end
            when 'consumption' then case when told.is_invoiced then told.credits else 0 end
        end as credits
    from told
    inner join months
        on
            told.account_id = months.account_id
            and told.usage_month = months.month
    where told.posting_kind in ('overage', 'overage_payment', 'consumption')

),

used as (

    select
        account_id,
        month,
        sum(credits) as credits
    from uncovered
    group by
        account_id,
        month

),

charges as (

    select
        account_id,
        month,
        currency,
        kind,
        sum(credits) as credits,
        cast(null as decimal(24, 12)) as unit_price,
        sum(gross_minor) as gross_minor,
        sum(paid_minor) as paid_minor
    from cash
    group by
        account_id,
        month,
        currency,
        kind

    union all

    select
        used.account_id,
        used.month,
        months.currency,
        case when months.plan = 'postpaid' then 'usage' else 'overage' end as kind,
        used.credits,
        months.overage_price as unit_price,
        0 as gross_minor,
        0 as paid_minor
    from used
    inner join months
        on
            used.account_id = months.account_id
            and used.month = months.month
    where
        months.plan in ('postpaid', 'prepaid_with_overage')
        and used.credits <> 0

),

final as (

    select
        account_id,
        month,
        currency,
        kind,
        cast(credits as decimal(38, 9)) as credits,
        unit_price,
        cast(gross_minor as bigint) as gross_minor,
        cast(paid_minor as bigint) as paid_minor
    from charges

)

select * from final
