-- Grain: one row a recorded issuer of invoices.

with

issuer as (

    select * from {{ source('raw', 'issuer') }}

),

renamed as (

    select
        load_id,
        issuer_row_id,
        issuer_id,
        name as issuer_name,
        country,
        recorded_at
    from issuer
    where {{ is_within_loads('load_id') }}

)

select * from renamed
