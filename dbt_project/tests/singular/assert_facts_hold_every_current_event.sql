-- Fails on sources and UTC days where the facts do not hold exactly the current raw events: as many,
-- with the same tokens, the same logged credits and the same execution time.

{{ config(meta={'dagster': {'ref': {'name': 'fct_usage'}}}) }}

with

events as (

    select * from {{ ref('stg_raw__usage_events') }}
    where {{ is_checked_day('usage_date_utc') }}

),

supersessions as (

    select * from {{ ref('stg_raw__usage_supersessions') }}
    where {{ is_checked_day('usage_date_utc') }}

),

usage as (

    select * from {{ ref('fct_usage') }}
    where {{ is_checked_day('usage_date_utc') }}

),

raw_days as (

    select
        events.source,
        events.usage_date_utc,
        count(*) as events,
        coalesce(sum(events.logged_credits), 0) as logged_credits,
        coalesce(sum(events.execution_ms), 0) as execution_ms,
        coalesce(sum(events.input_tokens), 0)
        + coalesce(sum(events.cache_read_tokens), 0)
        + coalesce(sum(events.cache_write_tokens), 0)
        + coalesce(sum(events.output_tokens), 0) as tokens
    from events
    left join supersessions
        on
            events.source = supersessions.source
            and events.event_id = supersessions.event_id
            and events.revision = supersessions.revision
    where
        not events.is_withdrawn
        and supersessions.event_id is null
    group by
        events.source,
        events.usage_date_utc

),

fact_days as (

    select
        source,
        usage_date_utc,
        count(*) as events,
        coalesce(sum(logged_credits), 0) as logged_credits,
        coalesce(sum(execution_ms), 0) as execution_ms,
        coalesce(sum(input_tokens), 0)
        + coalesce(sum(cache_read_tokens), 0)
        + coalesce(sum(cache_write_tokens), 0)
        + coalesce(sum(output_tokens), 0) as tokens
    from usage
    group by
        source,
        usage_date_utc

),

differing as (

    select
        coalesce(raw_days.source, fact_days.source) as source,
        coalesce(raw_days.usage_date_utc, fact_days.usage_date_utc) as usage_date_utc,
        raw_days.events as raw_events,
        fact_days.events as fact_events
    from raw_days
    full outer join fact_days
        on
            raw_days.source = fact_days.source
            and raw_days.usage_date_utc = fact_days.usage_date_utc
    where
        coalesce(raw_days.events, 0) <> coalesce(fact_days.events, 0)
        or coalesce(raw_days.logged_credits, 0) <> coalesce(fact_days.logged_credits, 0)
        or coalesce(raw_days.execution_ms, 0) <> coalesce(fact_days.execution_ms, 0)
        or coalesce(raw_days.tokens, 0) <> coalesce(fact_days.tokens, 0)

)

select * from differing
