-- Grain: one row a category of usage.

with

categories as (

    select * from {{ ref('dim_category') }}

),

final as (

    select
        category,
        label,
        sort_order
    from categories

)

select * from final
