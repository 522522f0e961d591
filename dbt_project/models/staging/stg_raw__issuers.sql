-- Grain: one row a change of an issuer of invoices.

with

issuer as (

    select * from {{ source('raw', 'issuer') }}

),

renamed as (

    select
        load_id,
        issuer_row_id,
        issuer_id,
        {{ json_text('settings', 'name') }} as issuer_name,
        {{ json_text('settings', 'country') }} as country,
        recorded_at
    from issuer
    where {{ is_within_loads('load_id') }}

)

select * from renamed
