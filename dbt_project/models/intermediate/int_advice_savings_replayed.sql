-- Grain: one row an event and a kind of advice that spares credits in it; overlaps are still in it.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_advice',
        on_schema_change='fail',
        sorted_by='account_id',
    )
}}

{%- set rules = ['repeated', 'failed', 'cached', 'batched', 'cheaper'] %}

with

events as (

    select * from {{ ref('int_advice_events_marked') }}
    where
        {{ is_advice_day('usage_date_utc') }}
        and credits > 0

),

agents as (

    select * from {{ ref('int_advice_agents_measured') }}

),

candidates as (

    select * from {{ ref('int_advice_candidates_priced') }}

),

prices as (

    select * from {{ ref('int_model_prices_dated') }}
    where day_start_second is null

),

model_cards as (

    select * from {{ ref('int_rate_cards_dated') }}
    where model is not null

),

category_cards as (

    select * from {{ ref('int_rate_cards_dated') }}
    where model is null

),

batch_prices as (

    select * from {{ ref('batch_price') }}

),

bounds as (

    select * from {{ ref('int_advice_window_bounded') }}

),

---------- the same asked again
repeated as (

    select
        events.*,
        case when request_hash is not null then 'repeated_requests' else 'repeated_shapes' end as kind,
        cast(null as varchar) as candidate_model,
        'log' as credit_basis,
        credits as saved_credits
    from events
    where is_repeated

),

---------- calls that failed
failed as (

    select
        events.*,
        'failures' as kind,
        cast(null as varchar) as candidate_model,
        'log' as credit_basis,
        events.credits as saved_credits
    from events
    inner join agents
        on
            events.account_id = agents.account_id
            and events.agent_id = agents.agent_id
    where
        events.status = 'error'
        and agents.failed_events >= {{ var('advice_failure_events') }}
        and agents.failed_events >= {{ var('advice_failure_share') }} * agents.events

),

---------- the beginning of a prompt that was sent before
prefixed as (

    select
        events.*,
        case
            when model_cards.category is not null then {{ prefix_saving('events', 'model_cards', 'token_credits') }}
            else {{ prefix_saving('events', 'category_cards', 'token_credits') }}
        end as carded_saving,
        {{ prefix_saving('events', 'prices', 'usd_per_mtok') }} * 0.000001 as listed_saving_usd
    from events
    left join prices
        on
            events.provider = prices.provider
            and events.price_model = prices.price_model
            and events.occurred_at >= prices.starts_at
            and events.occurred_at < prices.ends_at
            and events.prompt_tokens >= prices.tier_start
            and events.prompt_tokens < prices.tier_end
    left join model_cards
        on
            events.category = model_cards.category
            and events.model = model_cards.model
            and events.occurred_at >= model_cards.starts_at
            and events.occurred_at < model_cards.ends_at
    left join category_cards
        on
            events.category = category_cards.category
            and events.occurred_at >= category_cards.starts_at
            and events.occurred_at < category_cards.ends_at
    where events.prefix_tokens is not null

),

cached as (

    select
        prefixed.*,
        'prompt_caching' as kind,
        cast(null as varchar) as candidate_model,
        case when rating_status = 'rated' then 'rate_card' else 'list_price' end as credit_basis,
        case
            when rating_status = 'rated' then cast(carded_saving as double)
            when provider_cost_usd > 0
                then cast(listed_saving_usd as double) * cast(credits as double) / cast(provider_cost_usd as double)
        end as saved_credits
    from prefixed

),

---------- bursts of small calls
batch_ratios as (

    select
        batch_prices.provider,
        max_by(batch_prices.price_ratio, batch_prices.effective_from) as price_ratio
    from batch_prices
    inner join bounds
        on batch_prices.effective_from < bounds.window_until
    group by batch_prices.provider

),

-- The provider's batch price, or the fee of a call that many then share.
batched as (

    select
        events.*,
        'batching' as kind,
        cast(null as varchar) as candidate_model,
        case when batch_ratios.provider is not null then 'list_price' else 'rate_card' end as credit_basis,
        case
            when batch_ratios.provider is not null
                then cast(events.credits as double) * (1 - cast(batch_ratios.price_ratio as double))
            when events.rating_status = 'rated'
                then cast(
                    case
                        when model_cards.category is not null then model_cards.call_credits
                        else category_cards.call_credits
                    end as double
                )
                * (1 - 1.0 / least(events.burst_calls, {{ var('advice_batch_size') }}))
        end as saved_credits
    from events
    left join batch_ratios
        on
            events.provider = batch_ratios.provider
            and events.prompt_tokens > 0
            and events.price_model is not null
    left join model_cards
        on
            events.category = model_cards.category
            and events.model = model_cards.model
            and events.occurred_at >= model_cards.starts_at
            and events.occurred_at < model_cards.ends_at
    left join category_cards
        on
            events.category = category_cards.category
            and events.occurred_at >= category_cards.starts_at
            and events.occurred_at < category_cards.ends_at
    where events.burst_calls >= {{ var('advice_burst_calls') }}

),

---------- short calls on a model that can more
compared as (

    select
        events.*,
        candidates.candidate_model,
        candidates.credits_per_usd,
        cast({{ measured_credits('events', 'model_cards') }} as double) as carded_credits,
        case
            when prices.provider is not null then cast({{ list_cost_usd('events', 'prices') }} as double)
        end as candidate_usd
    from events
    inner join candidates
        on
            events.account_id = candidates.account_id
            and events.category = candidates.category
            and events.model = candidates.model
    left join prices
        on
            candidates.candidate_provider = prices.provider
            and candidates.candidate_price_model = prices.price_model
            and events.occurred_at >= prices.starts_at
            and events.occurred_at < prices.ends_at
            and events.prompt_tokens >= prices.tier_start
            and events.prompt_tokens < prices.tier_end
    left join model_cards
        on
            candidates.category = model_cards.category
            and candidates.candidate_model = model_cards.model
            and events.occurred_at >= model_cards.starts_at
            and events.occurred_at < model_cards.ends_at
    where events.is_short

),

-- Rated calls are rated by the candidate's card. Logged ones follow what the account's own log says
-- of the candidate, else its card, else the ratio of list prices.
based as (

    select
        compared.*,
        case
            when rating_status = 'rated' and carded_credits is not null then 'rate_card'
            when credits_per_usd is not null and candidate_usd is not null then 'own_log'
            when carded_credits is not null then 'rate_card'
            when candidate_usd is not null and provider_cost_usd > 0 then 'list_price'
        end as credit_basis
    from compared

),

exchanged as (

    select
        based.*,
        cast(credits as double) - case credit_basis
            when 'rate_card' then carded_credits
            when 'own_log' then candidate_usd * credits_per_usd
            when 'list_price' then cast(credits as double) * candidate_usd / cast(provider_cost_usd as double)
        end as saved_credits
    from based

),

ranked as (

    select
        account_id,
        agent_id,
        category,
        model,
        candidate_model,
        row_number() over (
            partition by account_id, agent_id, category, model
            order by {{ steady_sum('saved_credits') }} desc, candidate_model asc
        ) as candidate_rank
    from exchanged
    where saved_credits is not null
    group by
        account_id,
        agent_id,
        category,
        model,
        candidate_model

),

cheaper as (

    select
        exchanged.*,
        'cheaper_model' as kind
    from exchanged
    inner join ranked
        on
            exchanged.account_id = ranked.account_id
            and exchanged.agent_id = ranked.agent_id
            and exchanged.category = ranked.category
            and exchanged.model = ranked.model
            and exchanged.candidate_model = ranked.candidate_model
            and ranked.candidate_rank = 1

),

savings as (

    {% for rule in rules %}
        select
            account_id,
            agent_id,
            category,
            model,
            candidate_model,
            source,
            event_id,
            kind,
            credit_basis,
            usage_date_utc,
            occurred_at,
            credits,
            cast(saved_credits as double) as saved_credits
        from {{ rule }}
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

replayed as (

    select
        account_id,
        agent_id,
        category,
        model,
        candidate_model,
        source,
        event_id,
        kind,
        credit_basis,
        usage_date_utc,
        occurred_at,
        credits,
        least(credits, cast({{ round_half_up('saved_credits', 9) }} as decimal(18, 9))) as saved_credits
    from savings
    where saved_credits >= 0.000000001

)

select * from replayed
