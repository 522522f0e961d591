-- Grain: one row a recorded term of an account.

with

account_term as (

    select * from {{ source('raw', 'account_term') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        term_id,
        account_id,

        ---------- texts
        name,
        time_zone,
        currency,
        email,
        plan,

        ---------- numerics
        overage_price,

        ---------- dates and timestamps
        effective_from,
        recorded_at
    from account_term
    where {{ is_within_loads('load_id') }}

)

select * from renamed
