-- Grain: one row an event that an advice concerns.

with

advice_events as (

    select * from {{ ref('fct_advice_event') }}

)

select * from advice_events
