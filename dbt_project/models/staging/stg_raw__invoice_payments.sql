-- Grain: one row a payment of what an invoice has due.

with

invoice_payment as (

    select * from {{ source('raw', 'invoice_payment') }}

),

renamed as (

    select
        load_id,
        invoice_payment_id,
        invoice_id,
        reference,
        amount_minor,
        paid_on,
        recorded_at
    from invoice_payment
    where {{ is_within_loads('load_id') }}

)

select * from renamed
