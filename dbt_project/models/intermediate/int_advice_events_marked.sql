-- Grain: one row an event of the days that advice looks at, with what may be spared in it. What is
-- told from other events is told from those of the same account, agent and UTC day.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_advice',
        on_schema_change='fail',
        sorted_by='account_id',
    )
}}

with

usage as (

    select * from {{ ref('fct_usage') }}

),

models as (

    select * from {{ ref('int_models_matched') }}

),

events as (

    select
        usage.account_id,
        usage.agent_id,
        usage.category,
        usage.model,
        models.provider,
        models.price_model,
        usage.source,
        usage.event_id,
        usage.usage_date_utc,
        usage.occurred_at,
        usage.status,
        usage.rating_status,
        usage.session_id,
        usage.request_hash,
        usage.execution_ms,
        usage.credits,
        usage.provider_cost_usd,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        {{ prompt_tokens_of('usage') }} as prompt_tokens
    from usage
    left join models
        on usage.model = models.model
    where
        {{ is_advice_day('usage.usage_date_utc') }}
        and usage.credits is not null

),

described as (

    select
        events.*,
        {{ is_short_call('events') }} as is_short,
        {{ is_small_call('events') }} as is_small,
        {{ request_key('events') }} as request_key,
        status = 'ok'
        and session_id is not null
        and coalesce(cache_read_tokens, 0) = 0
        and prompt_tokens > 0 as is_cacheable
    from events

),

-- The call before of each kind, and how often the same was asked.
followed as (

    select
        described.*,
        {{ answers_before() }} as answers_before,
        {{ key_calls() }} as key_calls,
        lag(occurred_at) over (
            partition by account_id, agent_id, category, model, usage_date_utc, is_small
            order by occurred_at, source, event_id
        ) as small_before_at,
        lag(occurred_at) over (
            partition by account_id, agent_id, category, model, usage_date_utc, session_id, is_cacheable
            order by occurred_at, source, event_id
        ) as session_before_at,
        lag(prompt_tokens) over (
            partition by account_id, agent_id, category, model, usage_date_utc, session_id, is_cacheable
            order by occurred_at, source, event_id
        ) as session_before_tokens
    from described

),

-- A run ends where the next call is too late; it is counted by the ends before.
runs as (

    select
        followed.*,
        sum(
            case
                when occurred_at <= small_before_at + interval '{{ var("advice_burst_seconds") }}' second then 0
                else 1
            end
        ) over (
            partition by account_id, agent_id, category, model, usage_date_utc, is_small
            order by occurred_at, source, event_id
            rows between unbounded preceding and current row
        ) as burst_number,
        sum(
            case
                when occurred_at <= session_before_at + interval '{{ var("advice_cache_minutes") }}' minute then 0
                else 1
            end
        ) over (
            partition by account_id, agent_id, category, model, usage_date_utc, session_id, is_cacheable
            order by occurred_at, source, event_id
            rows between unbounded preceding and current row
        ) as session_run
    from followed

),

counted as (

    select
        runs.*,
        count(*) over burst as burst_calls,
        row_number() over (
            partition by
                account_id, agent_id, category, model, usage_date_utc, session_id, is_cacheable, session_run
            order by occurred_at, source, event_id
        ) as call_of_session,
        count(*) over session as session_calls,
        min(
            case
                when occurred_at <= session_before_at + interval '{{ var("advice_cache_minutes") }}' minute
                    then prompt_tokens - session_before_tokens
            end
        ) over session as least_growth
    from runs
    window
        burst as (
            partition by account_id, agent_id, category, model, usage_date_utc, is_small, burst_number
        ),
        session as (
            partition by
                account_id, agent_id, category, model, usage_date_utc, session_id, is_cacheable, session_run
        )

),

-- Of a conversation that only grows, the prompt before is the beginning of the next one.
growing as (

    select
        counted.*,
        case
            when
                is_cacheable
                and session_calls >= {{ var('advice_cache_calls') }}
                and least_growth >= 0
                and call_of_session > 1
                and session_before_tokens >= {{ var('advice_cache_tokens') }}
                then session_before_tokens
        end as prefix_tokens
    from counted

),

marked as (

    select
        account_id,
        agent_id,
        category,
        model,
        provider,
        price_model,
        source,
        event_id,
        usage_date_utc,
        occurred_at,
        status,
        rating_status,
        request_hash,
        execution_ms,
        credits,
        provider_cost_usd,
        input_tokens,
        cache_read_tokens,
        cache_write_tokens,
        output_tokens,
        prompt_tokens,
        is_short,
        is_small,
        request_key is not null as is_comparable,
        {{ is_repeated_call('growing') }} as is_repeated,
        case when is_small then burst_calls end as burst_calls,
        prefix_tokens,
        case
            when prefix_tokens is not null
                then prompt_tokens - prefix_tokens + case when call_of_session = 2 then prefix_tokens else 0 end
        end as written_tokens
    from growing

)

select * from marked
