-- Grain: one row a standard rate of tax of a country, from a month on.

with

tax_rate as (

    select * from {{ source('raw', 'tax_rate') }}

),

renamed as (

    select
        load_id,
        tax_rate_id,
        country,
        percent as tax_percent,
        effective_from,
        recorded_at
    from tax_rate
    where {{ is_within_loads('load_id') }}

)

select * from renamed
