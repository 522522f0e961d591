-- Grain: one row an acceptance of an advice and a UTC day after it with usage in its scope.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_measured_days',
        on_schema_change='fail',
    )
}}

with

usage as (

    select * from {{ ref('fct_usage') }}

),

decisions as (

    select * from {{ ref('int_advice_decisions_dated') }}

),

events as (

    select
        usage.account_id,
        usage.agent_id,
        usage.category,
        usage.model,
        usage.source,
        usage.event_id,
        usage.usage_date_utc,
        usage.occurred_at,
        usage.status,
        usage.request_hash,
        usage.execution_ms,
        usage.credits,
        usage.output_tokens,
        {{ prompt_tokens_of('usage') }} as prompt_tokens
    from usage
    where
        {{ is_measured_day('usage.usage_date_utc') }}
        and usage.credits is not null
        and usage.account_id in (select decisions.account_id from decisions)

),

described as (

    select
        events.*,
        {{ is_short_call('events') }} as is_short,
        {{ is_small_call('events') }} as is_small,
        {{ request_key('events') }} as request_key
    from events

),

followed as (

    select
        described.*,
        {{ answers_before('described') }} as answers_before,
        {{ key_calls('described') }} as key_calls
    from described

),

marked as (

    select
        followed.*,
        request_key is not null as is_comparable,
        {{ is_repeated_call('followed') }} as is_repeated
    from followed

),

daily as (

    select
        decisions.decision_id,
        decisions.account_id,
        marked.usage_date_utc,
        cast(count(*) as bigint) as events,
        cast(sum({{ units_of('marked', 'decisions') }}) as bigint) as units,
        cast(sum({{ quantity_of('marked', 'decisions') }}) as decimal(38, 9)) as quantity,
        cast(sum(marked.credits) as decimal(38, 9)) as credits
    from decisions
    inner join marked
        on
            decisions.account_id = marked.account_id
            and decisions.agent_id = marked.agent_id
            and decisions.measured_from <= marked.usage_date_utc
            and {{ is_in_scope('marked', 'decisions') }}
    group by
        decisions.decision_id,
        decisions.account_id,
        marked.usage_date_utc

)

select * from daily
