-- Grain: one row a credit package on offer and a currency.

with

packages as (

    select * from {{ ref('dim_credit_package') }}

),

final as (

    select
        package_id,
        currency,
        offer_id,
        name,
        credits,
        bonus_credits,
        price_minor,
        validity_days,
        bonus_validity_days
    from packages
    where is_offered

)

select * from final
