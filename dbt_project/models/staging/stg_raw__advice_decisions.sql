-- Grain: one row a decision on an advice.

with

advice_decision as (

    select * from {{ source('raw', 'advice_decision') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        decision_id,
        account_id,
        advice_id,
        agent_id,

        ---------- texts
        decision,
        kind,
        category,
        model,
        candidate_model,

        ---------- numbers
        baseline_units,
        cast(baseline_quantity as decimal(38, 9)) as baseline_quantity,
        cast(saved_credits_month as decimal(38, 9)) as saved_credits_month,

        ---------- timestamps
        recorded_at
    from advice_decision
    where {{ is_within_loads('load_id') }}

)

select * from renamed
