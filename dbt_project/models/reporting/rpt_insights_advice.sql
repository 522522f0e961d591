-- Grain: one row an account and an advice to it.

with

advice as (

    select * from {{ ref('fct_advice') }}

)

select * from advice
