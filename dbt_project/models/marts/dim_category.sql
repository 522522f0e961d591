-- Grain: one row a category of usage.

{{ config(materialized='view') }}

with

categories as (

    select * from {{ ref('category') }}

),

final as (

    select
        category,
        label,
        sort_order
    from categories

)

select * from final
