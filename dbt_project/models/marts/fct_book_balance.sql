-- Grain: one row an account, a month in which its lots moved or whose books are open, and a currency: sums
-- up to the month's end, as known now. Worked out when it is read.

{{ config(materialized='view') }}

with

movements as (

    select * from {{ ref('int_credit_months_summed') }}
    where currency is not null

),

charges as (

    select * from {{ ref('int_invoice_charges_netted') }}
    where kind in ('purchase', 'refund', 'chargeback')

),

taxes as (

    select * from {{ ref('int_account_taxes_dated') }}

),

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

open_months as (

    select
        account_id,
        {{ next_month('max(month)') }} as month
    from invoices
    where series = 'invoice'
    group by account_id

),

-- What changes a closed month is posted in the open one, also where nothing else moves in it.
months as (

    select
        account_id,
        currency,
        month
    from movements

    union

    select
        movements.account_id,
        movements.currency,
        open_months.month
    from movements
    inner join open_months
        on
            movements.account_id = open_months.account_id
            and movements.month < open_months.month

),

rates as (

    select distinct
        account_id,
        currency,
        tax_percent
    from movements

),

spread as (

    select
        months.account_id,
        months.currency,
        months.month,
        rates.tax_percent,
        coalesce(movements.sold_minor, 0) as sold_minor,
        coalesce(movements.consumed_minor, 0) as consumed_minor,
        coalesce(
            movements.expired_minor
            + movements.voided_minor
            + movements.refunded_minor
            + movements.charged_back_minor,
            0
        ) as released_minor,
        coalesce(movements.returned_minor, 0) as returned_minor,
        coalesce(movements.cash_minor, 0) as cash_minor,
        coalesce(movements.claimed_minor, 0) as claimed_minor
    from months
    inner join rates
        on
            months.account_id = rates.account_id
            and months.currency = rates.currency
    left join movements
        on
            months.account_id = movements.account_id
            and months.currency = movements.currency
            and months.month = movements.month
            and rates.tax_percent is not distinct from movements.tax_percent

),

running as (

    select
        account_id,
        currency,
        month,
        tax_percent,
        returned_minor,
        cash_minor,
        claimed_minor,
        sum(sold_minor - consumed_minor - released_minor) over (
            partition by account_id, currency, tax_percent
            order by month
            rows between unbounded preceding and current row
        ) as held_minor,
        sum(consumed_minor) over (
            partition by account_id, currency, tax_percent
            order by month
            rows between unbounded preceding and current row
        ) as consumed_minor,
        sum(released_minor) over (
            partition by account_id, currency, tax_percent
            order by month
            rows between unbounded preceding and current row
        ) as released_minor
    from spread

),

-- Tax is taken out of sums, so that rounding never adds up.
by_month as (

    select
        account_id,
        currency,
        month,
        sum(coalesce({{ net_of_tax('held_minor', 'tax_percent') }}, 0)) as deferred_minor,
        sum(coalesce({{ net_of_tax('consumed_minor', 'tax_percent') }}, 0)) as revenue_minor,
        sum(coalesce({{ net_of_tax('released_minor', 'tax_percent') }}, 0)) as released_minor,
        sum(returned_minor) as returned_minor,
        sum(cash_minor) as cash_minor,
        sum(claimed_minor) as claimed_minor
    from running
    group by
        account_id,
        currency,
        month

),

charged as (

    select
        account_id,
        currency,
        month,
        sum(gross_minor - net_minor) as tax_minor,
        sum(case when net_minor is null then gross_minor else 0 end) as suspense_minor
    from charges
    group by
        account_id,
        currency,
        month

),

-- Money that goes back is taxed as the month in which it does.
moved as (

    select
        by_month.account_id,
        by_month.currency,
        by_month.month,
        by_month.deferred_minor,
        by_month.revenue_minor,
        by_month.released_minor,
        by_month.cash_minor,
        by_month.claimed_minor,
        coalesce({{ net_of_tax('by_month.returned_minor', 'taxes.tax_percent') }}, 0) as returned_minor,
        coalesce(charged.tax_minor, 0) as tax_minor,
        coalesce(charged.suspense_minor, 0) as suspense_minor
    from by_month
    left join charged
        on
            by_month.account_id = charged.account_id
            and by_month.currency = charged.currency
            and by_month.month = charged.month
    left join taxes
        on
            by_month.account_id = taxes.account_id
            and by_month.month >= taxes.first_month
            and by_month.month < taxes.end_month

),

summed as (

    select
        account_id,
        month,
        currency,
        deferred_minor,
        revenue_minor,
        released_minor,
        sum(returned_minor) over (
            partition by account_id, currency
            order by month
            rows between unbounded preceding and current row
        ) as returned_minor,
        sum(cash_minor) over (
            partition by account_id, currency
            order by month
            rows between unbounded preceding and current row
        ) as cash_minor,
        sum(claimed_minor) over (
            partition by account_id, currency
            order by month
            rows between unbounded preceding and current row
        ) as claimed_minor,
        sum(tax_minor) over (
            partition by account_id, currency
            order by month
            rows between unbounded preceding and current row
        ) as tax_minor,
        sum(suspense_minor) over (
            partition by account_id, currency
            order by month
            rows between unbounded preceding and current row
        ) as suspense_minor
    from moved

),

final as (

    select
        account_id,
        month,
        currency,
        cast(cash_minor as bigint) as cash_minor,
        cast(suspense_minor as bigint) as suspense_minor,
        cast(claimed_minor as bigint) as unbilled_minor,
        cast(tax_minor as bigint) as tax_minor,
        cast(deferred_minor as bigint) as deferred_minor,
        cast(revenue_minor as bigint) as revenue_minor,
        cast(released_minor - returned_minor as bigint) as breakage_minor
    from summed

)

select * from final
