-- Grain: one row a lot that took effect: what its credits cost without tax, what they were listed at,
-- and with which posting it was used up.

{{ config(materialized='view') }}

with

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

lots as (

    select * from {{ ref('fct_credit_lot') }}

),

marked as (

    select * from {{ ref('int_credit_lots_marked') }}

),

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

taxes as (

    select * from {{ ref('int_tax_months_dated') }}

),

offers as (

    select * from {{ ref('int_credit_offers_spanned') }}

),

granted as (

    select
        postings.lot_id,
        postings.account_id,
        postings.credits,
        postings.posted_at,
        postings.cash_minor,
        cast(date_trunc('month', postings.posted_date) as date) as month,
        coalesce(postings.currency, months.currency) as currency,
        coalesce(taxes.tax_percent, 0) as tax_percent,
        months.overage_price
    from postings
    left join months
        on
            postings.account_id = months.account_id
            and date_trunc('month', postings.posted_date) = months.month
    left join taxes
        on
            postings.account_id = taxes.account_id
            and date_trunc('month', postings.posted_date) = taxes.month
    where postings.posting_kind = 'grant'

),

-- The list price of a credit is that of the dearest package then on offer: cheaper ones are discounts.
listed as (

    select
        granted.lot_id,
        max(
            {{ credit_price(
                net_of_tax('offers.price_minor', 'granted.tax_percent'),
                'offers.credits',
                'granted.currency'
            ) }}
        ) as list_price
    from granted
    inner join offers
        on
            granted.currency = offers.currency
            and granted.posted_at >= offers.effective_from
            and granted.posted_at < offers.effective_until
    group by granted.lot_id

),

-- Overage that a lot pays comes first in its segment.
used as (

    select
        lot_id,
        segment,
        usage_date,
        posting_kind,
        row_number() over (
            partition by lot_id
            order by
                segment desc,
                case when posting_kind = 'consumption' then 0 else 1 end,
                usage_date desc
        ) as use_rank
    from postings
    where posting_kind in ('consumption', 'overage_payment')

),

netted as (

    select
        granted.lot_id,
        granted.account_id,
        granted.month,
        granted.currency,
        granted.credits,
        granted.overage_price,
        granted.cash_minor,
        granted.tax_percent,
        lots.kind,
        lots.reason,
        lots.effective_at,
        lots.expires_at,
        coalesce(marked.is_invoiced, false) as is_invoiced,
        coalesce(marked.is_remainder, false) as is_remainder,
        {{ net_of_tax('granted.cash_minor', 'granted.tax_percent') }} as net_minor,
        listed.list_price,
        case when lots.status = 'exhausted' then used.segment end as last_segment,
        case when lots.status = 'exhausted' then used.usage_date end as last_usage_date,
        case when lots.status = 'exhausted' then used.posting_kind end as last_posting_kind
    from granted
    inner join lots
        on granted.lot_id = lots.lot_id
    left join marked
        on granted.lot_id = marked.lot_id
    left join listed
        on granted.lot_id = listed.lot_id
    left join used
        on
            granted.lot_id = used.lot_id
            and used.use_rank = 1

),

priced as (

    select
        netted.*,
        {{ credit_price('netted.net_minor', 'netted.credits', 'netted.currency') }} as net_price
    from netted

),

final as (

    select
        lot_id,
        account_id,
        month,
        kind,
        reason,
        currency,
        is_invoiced,
        is_remainder,
        credits,
        cash_minor,
        tax_percent,
        net_minor,
        net_price,
        cast(
            coalesce(
                list_price,
                case when net_minor > 0 then net_price end,
                overage_price,
                0
            ) as decimal(24, 12)
        ) as list_price,
        last_segment,
        last_usage_date,
        last_posting_kind,
        effective_at,
        expires_at
    from priced

)

select * from final
