-- Grain: one row a release, a model of a provider, a start, a time of day, a tier and a kind of token.

with

model_price as (

    select * from {{ source('raw', 'model_price') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        release,
        provider,
        price_model,

        ---------- texts
        token_kind,

        ---------- numbers
        usd_per_mtok,
        tier_start,
        {{ second_of_day('day_start') }} as day_start_second,
        {{ second_of_day('day_end') }} as day_end_second,

        ---------- timestamps
        effective_from,
        recorded_at
    from model_price
    where {{ is_within_loads('load_id') }}

)

select * from renamed
