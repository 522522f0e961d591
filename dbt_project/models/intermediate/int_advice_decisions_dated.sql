-- Grain: one row an acceptance of an advice, with the time until which it holds.

with

decisions as (

    select * from {{ ref('stg_raw__advice_decisions') }}

),

followed as (

    select
        decisions.*,
        lead(recorded_at) over (
            partition by account_id, advice_id order by decision_id
        ) as next_recorded_at
    from decisions

),

-- The day of the decision is partly of before, so the first day measured is the one after it.
dated as (

    select
        load_id,
        decision_id,
        account_id,
        advice_id,
        kind,
        agent_id,
        category,
        model,
        candidate_model,
        baseline_units,
        baseline_quantity,
        saved_credits_month,
        recorded_at as accepted_at,
        next_recorded_at as withdrawn_at,
        {{ add_days('cast(recorded_at as date)', '1') }} as measured_from,
        cast(next_recorded_at as date) as measured_until
    from followed
    where decision = 'accepted'

)

select * from dated
