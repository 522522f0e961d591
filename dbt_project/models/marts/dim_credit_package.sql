-- Grain: one row a credit package and a currency, as of the newest batch that was read.

with

offers as (

    select * from {{ ref('stg_raw__credit_packages') }}

),

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

ranked as (

    select
        offers.*,
        row_number() over (
            partition by offers.package_id, offers.currency
            order by offers.effective_from desc, offers.offer_id desc
        ) as offer_rank
    from offers
    cross join bounds
    where offers.effective_from <= bounds.as_of

),

packages as (

    select
        package_id,
        currency,
        offer_id,
        name,
        cast(credits as decimal(38, 9)) as credits,
        cast(bonus_credits as decimal(38, 9)) as bonus_credits,
        price_minor,
        validity_days,
        bonus_validity_days,
        is_offered,
        effective_from
    from ranked
    where offer_rank = 1

)

select * from packages
