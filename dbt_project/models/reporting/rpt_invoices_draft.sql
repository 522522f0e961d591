-- Grain: one row an account, a month in its time zone, a currency and a kind of charge.

with

drafts as (

    select * from {{ ref('fct_invoice_draft') }}

),

final as (

    select
        account_id,
        month,
        currency,
        kind,
        credits,
        unit_price,
        gross_minor,
        paid_minor
    from drafts

)

select * from final
