-- Grain: one row a dated offer of a credit package.

with

credit_package as (

    select * from {{ source('raw', 'credit_package') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        offer_id,
        package_id,

        ---------- texts
        name,
        currency,

        ---------- numbers
        cast(credits as decimal(38, 9)) as credits,
        cast(bonus_credits as decimal(38, 9)) as bonus_credits,
        price_minor,
        validity_days,
        bonus_validity_days,

        ---------- booleans
        is_offered,

        ---------- timestamps
        effective_from,
        recorded_at
    from credit_package
    where {{ is_within_loads('load_id') }}

)

select * from renamed
