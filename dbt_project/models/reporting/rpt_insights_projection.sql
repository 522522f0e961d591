-- Grain: one row an account and a part of it (category, model, agent, or the account itself): the month
-- that runs, as it is expected to end.

with

projections as (

    select * from {{ ref('fct_projection') }}

),

shared as (

    select
        account_id,
        month,
        scope,
        part,
        projected_on,
        history_days,
        is_thin,
        interval_basis,
        spread,
        credits,
        projected_credits,
        projected_low_credits,
        projected_high_credits,
        {{ ratio(
            'projected_credits', 'sum(projected_credits) over (partition by account_id, scope)', 9, 6
        ) }} as share,
        provider_cost_usd,
        projected_cost_usd,
        projected_low_cost_usd,
        projected_high_cost_usd
    from projections

)

select * from shared
