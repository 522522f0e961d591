-- Grain: one row an account and an advice to it.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_advice',
        on_schema_change='fail',
    )
}}

with

advice_events as (

    select * from {{ ref('fct_advice_event') }}
    where {{ is_advice_day('usage_date_utc') }}

),

marked as (

    select * from {{ ref('int_advice_events_marked') }}
    where {{ is_advice_day('usage_date_utc') }}

),

agents as (

    select * from {{ ref('int_advice_agents_measured') }}

),

bounds as (

    select * from {{ ref('int_advice_window_bounded') }}

),

advice as (

    select
        account_id,
        advice_id,
        kind,
        agent_id,
        case when kind <> 'failures' then min(category) end as category,
        case when kind <> 'failures' then min(model) end as model,
        min(candidate_model) as candidate_model,
        case when min(credit_basis) = max(credit_basis) then min(credit_basis) else 'mixed' end as credit_basis,
        count(*) as events,
        cast(count(distinct usage_date_utc) as bigint) as days,
        sum(credits) as credits,
        sum(saved_credits) as saved_credits,
        min(occurred_at) as first_occurred_at,
        max(occurred_at) as last_occurred_at
    from advice_events
    group by
        account_id,
        advice_id,
        kind,
        agent_id

),

-- What the same is measured by after the advice was accepted.
scopes as (

    select
        advice.account_id,
        advice.advice_id,
        count(*) as scope_events,
        sum({{ units_of('marked', 'advice') }}) as baseline_units,
        sum({{ quantity_of('marked', 'advice') }}) as baseline_quantity
    from advice
    inner join marked
        on
            advice.account_id = marked.account_id
            and advice.agent_id = marked.agent_id
            and {{ is_in_scope('marked', 'advice') }}
    group by
        advice.account_id,
        advice.advice_id

),

final as (

    select
        advice.account_id,
        advice.advice_id,
        advice.kind,
        advice.agent_id,
        advice.category,
        advice.model,
        advice.candidate_model,
        advice.credit_basis,
        advice.kind in ('repeated_shapes', 'prompt_caching') as is_guess,
        cast(advice.events as bigint) as events,
        advice.days,
        cast(scopes.scope_events as bigint) as scope_events,
        cast(agents.events as bigint) as agent_events,
        cast(agents.failed_events as bigint) as agent_failed_events,
        cast(agents.credits as decimal(38, 9)) as agent_credits,
        cast(advice.credits as decimal(38, 9)) as credits,
        cast(advice.saved_credits as decimal(38, 9)) as saved_credits,
        {{ ratio('advice.saved_credits * 30', var('advice_days'), 38, 9) }} as saved_credits_month,
        cast(scopes.baseline_units as bigint) as baseline_units,
        cast(scopes.baseline_quantity as decimal(38, 9)) as baseline_quantity,
        bounds.window_from,
        bounds.window_until,
        advice.first_occurred_at,
        advice.last_occurred_at
    from advice
    inner join scopes
        on
            advice.account_id = scopes.account_id
            and advice.advice_id = scopes.advice_id
    inner join agents
        on
            advice.account_id = agents.account_id
            and advice.agent_id = agents.agent_id
    cross join bounds

)

select * from final
