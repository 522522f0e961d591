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

{%- set call = ['account_id', 'agent_id', 'category', 'model', 'usage_date_utc'] %}
{%- set order = 'order by occurred_at, source, event_id' %}

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

---------- the same asked again. Counts leave few calls to be looked at one by one, here and below.
asked as (

    select {{ call | join(', ') }}, request_key
    from described
    where request_key is not null
    group by {{ call | join(', ') }}, request_key
    having count(*) > 1

),

answered as (

    select
        described.source,
        described.event_id,
        described.request_hash,
        described.request_key,
        {{ answers_before('described') }} as answers_before,
        {{ key_calls('described') }} as key_calls
    from described
    inner join asked
        on
            described.request_key = asked.request_key
            {% for column in call %}
                and described.{{ column }} = asked.{{ column }}
            {% endfor %}

),

repeated as (

    select
        source,
        event_id
    from answered
    where {{ is_repeated_call('answered') }}

),

---------- bursts of small calls
busy as (

    select {{ call | join(', ') }}
    from described
    where is_small
    group by {{ call | join(', ') }}
    having count(*) >= {{ var('advice_burst_calls') }}

),

small_calls as (

    select
        {% for column in call %}
            described.{{ column }},
        {% endfor %}
        described.source,
        described.event_id,
        described.occurred_at
    from described
    inner join busy
        on
            {% for column in call %}
                {{ 'and ' if not loop.first }}described.{{ column }} = busy.{{ column }}
            {% endfor %}
    where described.is_small

),

small_followed as (

    select
        small_calls.*,
        lag(occurred_at) over (partition by {{ call | join(', ') }} {{ order }}) as before_at
    from small_calls

),

-- A run ends where the next call is too late; it is counted by the ends before.
small_runs as (

    select
        small_followed.*,
        sum(
            case
                when occurred_at <= before_at + interval '{{ var("advice_burst_seconds") }}' second then 0
                else 1
            end
        ) over (
            partition by {{ call | join(', ') }} {{ order }}
            rows between unbounded preceding and current row
        ) as burst_number
    from small_followed

),

bursts as (

    select
        source,
        event_id,
        count(*) over (partition by {{ call | join(', ') }}, burst_number) as burst_calls
    from small_runs

),

---------- conversations
talks as (

    select {{ call | join(', ') }}, session_id
    from described
    where is_cacheable
    group by {{ call | join(', ') }}, session_id
    having count(*) >= {{ var('advice_cache_calls') }}

),

talk_calls as (

    select
        {% for column in call %}
            described.{{ column }},
        {% endfor %}
        described.session_id,
        described.source,
        described.event_id,
        described.occurred_at,
        described.prompt_tokens
    from described
    inner join talks
        on
            described.session_id = talks.session_id
            {% for column in call %}
                and described.{{ column }} = talks.{{ column }}
            {% endfor %}
    where described.is_cacheable

),

talk_followed as (

    select
        talk_calls.*,
        lag(occurred_at) over (partition by {{ call | join(', ') }}, session_id {{ order }}) as before_at,
        lag(prompt_tokens) over (partition by {{ call | join(', ') }}, session_id {{ order }}) as before_tokens
    from talk_calls

),

talk_runs as (

    select
        talk_followed.*,
        coalesce(
            occurred_at <= before_at + interval '{{ var("advice_cache_minutes") }}' minute, false
        ) as goes_on,
        sum(
            case
                when occurred_at <= before_at + interval '{{ var("advice_cache_minutes") }}' minute then 0
                else 1
            end
        ) over (
            partition by {{ call | join(', ') }}, session_id {{ order }}
            rows between unbounded preceding and current row
        ) as talk_number
    from talk_followed

),

talk_counted as (

    select
        talk_runs.*,
        row_number() over (
            partition by {{ call | join(', ') }}, session_id, talk_number {{ order }}
        ) as call_number,
        count(*) over (partition by {{ call | join(', ') }}, session_id, talk_number) as calls,
        min(case when goes_on then prompt_tokens - before_tokens end) over (
            partition by {{ call | join(', ') }}, session_id, talk_number
        ) as least_growth
    from talk_runs

),

-- Of a conversation that only grows, the prompt before is the beginning of the next one.
prefixes as (

    select
        source,
        event_id,
        before_tokens as prefix_tokens,
        prompt_tokens - before_tokens + case when call_number = 2 then before_tokens else 0 end
            as written_tokens
    from talk_counted
    where
        calls >= {{ var('advice_cache_calls') }}
        and least_growth >= 0
        and call_number > 1
        and before_tokens >= {{ var('advice_cache_tokens') }}

),

marked as (

    select
        described.account_id,
        described.agent_id,
        described.category,
        described.model,
        described.provider,
        described.price_model,
        described.source,
        described.event_id,
        described.usage_date_utc,
        described.occurred_at,
        described.status,
        described.rating_status,
        described.request_hash,
        described.execution_ms,
        described.credits,
        described.provider_cost_usd,
        described.input_tokens,
        described.cache_read_tokens,
        described.cache_write_tokens,
        described.output_tokens,
        described.prompt_tokens,
        described.is_short,
        described.is_small,
        described.request_key is not null as is_comparable,
        repeated.event_id is not null as is_repeated,
        case when bursts.burst_calls >= {{ var('advice_burst_calls') }} then bursts.burst_calls end as burst_calls,
        prefixes.prefix_tokens,
        prefixes.written_tokens
    from described
    left join repeated
        on
            described.source = repeated.source
            and described.event_id = repeated.event_id
    left join bursts
        on
            described.source = bursts.source
            and described.event_id = bursts.event_id
    left join prefixes
        on
            described.source = prefixes.source
            and described.event_id = prefixes.event_id

)

select * from marked
