-- Grain: one row an incident of an account.

with

incidents as (

    select * from {{ ref('fct_incident') }}

)

select * from incidents
