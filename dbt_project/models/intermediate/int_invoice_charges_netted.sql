-- Grain: one row an account, a month, a currency and a kind of charge as known now, its net rounded as on
-- one invoice of the month: billing.invoices.rounding.fitted in SQL. Worked out when it is read.

{{ config(materialized='view') }}

with

drafts as (

    select * from {{ ref('fct_invoice_draft') }}

),

taxes as (

    select * from {{ ref('int_account_taxes_dated') }}

),

-- Nets as whole numbers over one divisor: trillionths of a minor unit, times 1 + the rate. What usage
-- costs is known without the tax; what is in a payment is not.
scaled as (

    select
        drafts.*,
        taxes.tax_category,
        taxes.tax_percent,
        {{ tax_divisor('coalesce(taxes.tax_percent, 0)') }} * 1000000000000 as divisor,
        case
            when drafts.unit_price is null
                then
                    case
                        when taxes.tax_percent is not null
                            then cast(drafts.gross_minor as decimal(38, 0)) * 1000000000000000000
                    end
            else
                cast(
                    cast(
                        drafts.credits * drafts.unit_price
                        * case {{ minor_digits('drafts.currency') }}
                            when 0 then 1
                            when 2 then 100
                            else 1000
                        end as decimal(38, 12)
                    ) * 1000000000000 as decimal(38, 0)
                ) * {{ tax_divisor('coalesce(taxes.tax_percent, 0)') }}
        end as numerator
    from drafts
    left join taxes
        on
            drafts.account_id = taxes.account_id
            and drafts.month >= taxes.first_month
            and drafts.month < taxes.end_month

),

floored as (

    select
        scaled.*,
        {{ floored_quotient('numerator', 'divisor') }} as floor_minor,
        sum(numerator) over (partition by account_id, month, currency) as month_numerator
    from scaled

),

ranked as (

    select
        floored.*,
        {{ rounded_quotient('month_numerator', 'divisor') }}
        - sum(floor_minor) over (partition by account_id, month, currency) as missing_minor,
        row_number() over (
            partition by account_id, month, currency
            order by numerator - floor_minor * divisor desc nulls last, kind asc
        ) as loss_rank
    from floored

),

netted as (

    select
        account_id,
        month,
        currency,
        kind,
        credits,
        unit_price,
        gross_minor,
        paid_minor,
        tax_category,
        tax_percent,
        cast(floor_minor + case when loss_rank <= missing_minor then 1 else 0 end as bigint)
            as net_minor
    from ranked

)

select * from netted
