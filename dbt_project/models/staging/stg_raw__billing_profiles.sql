-- Grain: one row a billing profile of an account.

with

billing_profile as (

    select * from {{ source('raw', 'billing_profile') }}

),

renamed as (

    select
        load_id,
        profile_id,
        account_id,
        issuer_id,
        tax_treatment,
        effective_from,
        recorded_at
    from billing_profile
    where {{ is_within_loads('load_id') }}

)

select * from renamed
