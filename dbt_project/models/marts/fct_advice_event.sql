-- Grain: one row an event that advice concerns, with the one advice that spares most credits in it.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_advice',
        on_schema_change='fail',
        sorted_by=['account_id', 'advice_id'],
    )
}}

with

savings as (

    select * from {{ ref('int_advice_savings_replayed') }}
    where {{ is_advice_day('usage_date_utc') }}

),

agents as (

    select * from {{ ref('int_advice_agents_measured') }}

),

accounts as (

    select
        account_id,
        sum(credits) as credits
    from agents
    group by account_id

),

-- Failures are a matter of the whole agent, everything else of one model of it.
scoped as (

    select
        savings.*,
        case when kind = 'failures' then '' else category end as scope_category,
        case when kind = 'failures' then '' else model end as scope_model,
        coalesce(candidate_model, '') as scope_candidate
    from savings

),

groups as (

    select
        account_id,
        agent_id,
        kind,
        scope_category,
        scope_model,
        scope_candidate,
        substr(
            md5(concat(md5(kind), md5(agent_id), md5(scope_category), md5(scope_model), md5(scope_candidate))), 1, 12
        ) as advice_id,
        count(*) as events,
        sum(saved_credits) as saved_credits
    from scoped
    group by
        account_id,
        agent_id,
        kind,
        scope_category,
        scope_model,
        scope_candidate

),

worthy as (

    select groups.*
    from groups
    inner join accounts
        on groups.account_id = accounts.account_id
    where {{ is_worth_telling('groups.saved_credits', 'groups.events', 'accounts.credits') }}

),

-- What is spared twice counts once: for the advice that spares more of the event.
preferred as (

    select
        scoped.*,
        worthy.advice_id,
        row_number() over (
            partition by scoped.account_id, scoped.source, scoped.event_id
            order by scoped.saved_credits desc, worthy.saved_credits desc, worthy.advice_id asc
        ) as preference
    from scoped
    inner join worthy
        on
            scoped.account_id = worthy.account_id
            and scoped.agent_id = worthy.agent_id
            and scoped.kind = worthy.kind
            and scoped.scope_category = worthy.scope_category
            and scoped.scope_model = worthy.scope_model
            and scoped.scope_candidate = worthy.scope_candidate

),

assigned as (

    select
        preferred.*,
        count(*) over (partition by account_id, advice_id) as advice_events,
        sum(saved_credits) over (partition by account_id, advice_id) as advice_saved_credits
    from preferred
    where preference = 1

),

final as (

    select
        assigned.account_id,
        assigned.advice_id,
        assigned.kind,
        assigned.agent_id,
        assigned.category,
        assigned.model,
        assigned.candidate_model,
        assigned.source,
        assigned.event_id,
        assigned.credit_basis,
        assigned.credits,
        assigned.saved_credits,
        assigned.usage_date_utc,
        assigned.occurred_at
    from assigned
    inner join accounts
        on assigned.account_id = accounts.account_id
    where {{ is_worth_telling('assigned.advice_saved_credits', 'assigned.advice_events', 'accounts.credits') }}

)

select * from final
