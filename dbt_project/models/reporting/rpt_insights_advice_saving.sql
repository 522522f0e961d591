-- Grain: one row an acceptance of an advice and a week since then with usage in its scope.

with

savings as (

    select * from {{ ref('fct_advice_saving_weekly') }}

)

select * from savings
