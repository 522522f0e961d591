-- Grain: one row a model name seen in a log and a release of the price list.

with

model_match as (

    select * from {{ source('raw', 'model_match') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        release,
        model,
        provider,
        price_model,

        ---------- texts
        model_name,

        ---------- timestamps
        recorded_at
    from model_match
    where {{ is_within_loads('load_id') }}

)

select * from renamed
