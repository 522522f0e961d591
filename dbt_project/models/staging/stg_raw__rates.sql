-- Grain: one row a recorded rate of the rate card.

with

rate as (

    select * from {{ source('raw', 'rate') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        rate_id,

        ---------- texts
        category,
        model,
        unit,

        ---------- numbers
        credits_per_unit,

        ---------- timestamps
        effective_from,
        recorded_at
    from rate
    where {{ is_within_loads('load_id') }}

)

select * from renamed
