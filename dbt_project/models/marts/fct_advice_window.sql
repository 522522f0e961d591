-- Grain: one row, what the advice that stands was made from. It is built after all of it.

-- depends_on: {{ ref('fct_advice') }}

with

bounds as (

    select * from {{ ref('int_advice_window_bounded') }}

),

final as (

    select
        window_from,
        window_until,
        cast(prices_load_id as bigint) as prices_load_id
    from bounds

)

select * from final
