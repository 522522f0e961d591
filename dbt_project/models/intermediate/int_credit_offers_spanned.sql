-- Grain: one row an offer of a credit package, with the time in which it holds.

{{ config(materialized='view') }}

with

offers as (

    select * from {{ ref('stg_raw__credit_packages') }}

),

spanned as (

    select
        offers.*,
        coalesce(
            lead(effective_from) over (
                partition by package_id, currency order by effective_from, offer_id
            ),
            timestamp '9999-12-31 00:00:00'
        ) as effective_until
    from offers

),

final as (

    select
        offer_id,
        package_id,
        currency,
        credits,
        price_minor,
        effective_from,
        effective_until
    from spanned
    where
        is_offered
        and effective_from < effective_until

)

select * from final
