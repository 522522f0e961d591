-- Grain: one row an account, a month, a currency, a kind of charge and a tax that differ from what was
-- invoiced.

with

differences as (

    select * from {{ ref('fct_invoice_difference') }}

),

final as (

    select
        account_id,
        month,
        currency,
        kind,
        tax_category,
        tax_percent,
        cause,
        invoiced_credits,
        known_credits,
        difference_credits,
        invoiced_net_minor,
        known_net_minor,
        difference_net_minor,
        difference_gross_minor,
        books_month
    from differences
    where cause <> 'none'

)

select * from final
