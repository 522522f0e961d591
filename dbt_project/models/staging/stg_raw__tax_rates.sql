-- Grain: one row a recorded standard rate of a country.

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
