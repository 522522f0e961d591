-- Grain: one row an account, a closed month and a currency: the ledger of its lots at the close.

with

book_balance as (

    select * from {{ source('raw', 'book_balance') }}

),

renamed as (

    select
        load_id,
        book_balance_id,
        invoice_id,
        account_id,
        currency,
        cash_minor,
        suspense_minor,
        unbilled_minor,
        tax_minor,
        deferred_minor,
        revenue_minor,
        breakage_minor,
        month,
        recorded_at
    from book_balance
    where {{ is_within_loads('load_id') }}

)

select * from renamed
