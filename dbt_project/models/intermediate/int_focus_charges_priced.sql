-- Grain: one row a charge as the ledger knows it now: usage of a day by what paid for it, a lot that was
-- bought, or what a month gave back. Amounts are in units of the currency, without tax.

{{ config(materialized='view') }}

with

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

taxes as (

    select * from {{ ref('int_tax_months_dated') }}

),

offers as (

    select * from {{ ref('int_credit_offers_spanned') }}

),

lots as (

    select * from {{ ref('int_credit_lots_netted') }}

),

allotted as (

    select * from {{ ref('int_focus_usage_allotted') }}

),

drafts as (

    select * from {{ ref('fct_invoice_draft') }}

),

listed as (

    select
        months.account_id,
        months.month,
        max(
            {{ credit_price(
                net_of_tax('offers.price_minor', 'coalesce(taxes.tax_percent, 0)'),
                'offers.credits',
                'months.currency'
            ) }}
        ) as list_price
    from months
    inner join taxes
        on
            months.account_id = taxes.account_id
            and months.month = taxes.month
    inner join offers
        on
            months.currency = offers.currency
            and months.ends_at > offers.effective_from
            and months.starts_at < offers.effective_until
    group by
        months.account_id,
        months.month

),

-- Where a day begins in a zone, worked out once.
local_days as (

    select distinct
        months.time_zone,
        allotted.usage_date
    from allotted
    inner join months
        on
            allotted.account_id = months.account_id
            and allotted.month = months.month

),

day_bounds as (

    select
        time_zone,
        usage_date,
        {{ local_day_start('usage_date', 'time_zone') }} as starts_at,
        {{ local_day_start(add_days('usage_date', 1), 'time_zone') }} as ends_at
    from local_days

),

-- The price of a credit: of its lot; of overage where the plan sells that; else the list price, since
-- a lot has yet to pay.
usage_priced as (

    select
        allotted.*,
        months.plan,
        case
            when lots.net_minor > 0 then lots.currency
            else months.currency
        end as currency,
        allotted.posting_kind = 'overage'
        and months.plan in ('postpaid', 'prepaid_with_overage') as is_charged,
        case
            when allotted.lot_id is not null then lots.net_price
            when allotted.posting_kind = 'overage' and months.overage_price is not null
                then months.overage_price
            else coalesce(listed.list_price, months.overage_price, 0)
        end as contracted_unit_price,
        case
            when allotted.lot_id is not null then lots.list_price
            when allotted.posting_kind = 'overage' and months.overage_price is not null
                then months.overage_price
            else coalesce(listed.list_price, months.overage_price, 0)
        end as list_unit_price,
        case
            when allotted.is_last_of_lot
                then {{ in_units('lots.net_minor', 'lots.currency') }} - lots.credits * lots.net_price
            else 0
        end as last_amount,
        lots.net_price,
        greatest(day_bounds.starts_at, months.starts_at) as starts_at,
        least(day_bounds.ends_at, months.ends_at) as ends_at
    from allotted
    inner join months
        on
            allotted.account_id = months.account_id
            and allotted.month = months.month
    inner join day_bounds
        on
            months.time_zone = day_bounds.time_zone
            and allotted.usage_date = day_bounds.usage_date
    left join lots
        on allotted.lot_id = lots.lot_id
    left join listed
        on
            allotted.account_id = listed.account_id
            and allotted.month = listed.month

),

charges as (

    select
        account_id,
        month,
        currency,
        case
            when is_charged and plan = 'postpaid' then 'usage'
            when is_charged then 'overage'
            when posting_kind = 'overage' then 'open'
            when posting_kind = 'free' then 'free'
            when posting_kind = 'overage_payment' then 'covered_later'
            else 'covered'
        end as kind,
        agent_id,
        category,
        model,
        lot_id,
        segment,
        credits,
        operations,
        case when is_charged then credits * contracted_unit_price else 0 end as billed_amount,
        case
            when is_charged then credits * contracted_unit_price
            when lot_id is not null then credits * net_price + last_amount
            else 0
        end as effective_amount,
        contracted_unit_price,
        list_unit_price,
        starts_at,
        ends_at
    from usage_priced

    union all

    select
        lots.account_id,
        lots.month,
        lots.currency,
        'purchase' as kind,
        cast(null as varchar) as agent_id,
        cast(null as varchar) as category,
        cast(null as varchar) as model,
        lots.lot_id,
        cast(null as bigint) as segment,
        lots.credits,
        cast(null as decimal(38, 9)) as operations,
        {{ in_units('lots.net_minor', 'lots.currency') }} as billed_amount,
        0 as effective_amount,
        lots.net_price as contracted_unit_price,
        lots.list_price as list_unit_price,
        lots.effective_at as starts_at,
        coalesce(lots.expires_at, months.ends_at) as ends_at
    from lots
    inner join months
        on
            lots.account_id = months.account_id
            and lots.month = months.month
    where
        lots.cash_minor > 0
        and not lots.is_remainder

    union all

    select
        drafts.account_id,
        drafts.month,
        drafts.currency,
        drafts.kind,
        cast(null as varchar) as agent_id,
        cast(null as varchar) as category,
        cast(null as varchar) as model,
        cast(null as bigint) as lot_id,
        cast(null as bigint) as segment,
        drafts.credits,
        cast(null as decimal(38, 9)) as operations,
        {{ in_units(
            net_of_tax('drafts.gross_minor', 'coalesce(taxes.tax_percent, 0)'), 'drafts.currency'
        ) }} as billed_amount,
        0 as effective_amount,
        cast(null as decimal(24, 12)) as contracted_unit_price,
        cast(null as decimal(24, 12)) as list_unit_price,
        months.starts_at,
        months.ends_at
    from drafts
    inner join months
        on
            drafts.account_id = months.account_id
            and drafts.month = months.month
    inner join taxes
        on
            drafts.account_id = taxes.account_id
            and drafts.month = taxes.month
    where drafts.kind in ('refund', 'chargeback')

),

final as (

    select
        account_id,
        month,
        currency,
        kind,
        agent_id,
        category,
        model,
        lot_id,
        segment,
        cast(credits as decimal(38, 9)) as credits,
        operations,
        cast(billed_amount as decimal(38, 21)) as billed_amount,
        cast(effective_amount as decimal(38, 21)) as effective_amount,
        contracted_unit_price,
        list_unit_price,
        starts_at,
        ends_at
    from charges

)

select * from final
