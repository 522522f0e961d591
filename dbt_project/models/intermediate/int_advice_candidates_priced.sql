-- Grain: one row a model that is in use, a cheaper one in use of the same provider and a lower class,
-- and an account that may change from one to the other, with what a dollar of list price costs it.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_advice',
        on_schema_change='fail',
    )
}}

with

events as (

    select * from {{ ref('int_advice_events_marked') }}
    where {{ is_advice_day('usage_date_utc') }}

),

capabilities as (

    select * from {{ ref('model_capability') }}

),

bounds as (

    select * from {{ ref('int_advice_window_bounded') }}

),

classes as (

    select
        capabilities.provider,
        capabilities.price_model,
        max_by(capabilities.capability_rank, capabilities.holds_from) as capability_rank
    from capabilities
    inner join bounds
        on capabilities.holds_from <= bounds.window_until
    group by
        capabilities.provider,
        capabilities.price_model

),

-- What an account pays for a dollar of list price of each model, by its log.
measured as (

    select
        account_id,
        category,
        model,
        provider,
        price_model,
        count(*) filter (
            where rating_status = 'logged' and status = 'ok' and provider_cost_usd > 0
        ) as measured_events,
        sum(credits) filter (
            where rating_status = 'logged' and status = 'ok' and provider_cost_usd > 0
        ) as measured_credits,
        sum(provider_cost_usd) filter (
            where rating_status = 'logged' and status = 'ok' and provider_cost_usd > 0
        ) as measured_usd,
        count(*) filter (where is_short) as short_events
    from events
    where prompt_tokens > 0
    group by
        account_id,
        category,
        model,
        provider,
        price_model

),

-- Only what the platform's customers use now can be recommended.
offered as (

    select distinct
        measured.category,
        measured.model,
        measured.provider,
        measured.price_model,
        classes.capability_rank
    from measured
    inner join classes
        on
            measured.provider = classes.provider
            and measured.price_model = classes.price_model

),

pairs as (

    select
        measured.account_id,
        measured.category,
        measured.model,
        candidates.model as candidate_model,
        candidates.provider as candidate_provider,
        candidates.price_model as candidate_price_model,
        rank() over (
            partition by measured.account_id, measured.category, measured.model
            order by candidates.capability_rank desc
        ) as nearness
    from measured
    inner join classes
        on
            measured.provider = classes.provider
            and measured.price_model = classes.price_model
    inner join offered as candidates
        on
            measured.category = candidates.category
            and measured.provider = candidates.provider
            and classes.capability_rank > candidates.capability_rank
    where measured.short_events > 0

),

-- Of the lower classes the nearest one.
priced as (

    select
        pairs.account_id,
        pairs.category,
        pairs.model,
        pairs.candidate_model,
        pairs.candidate_provider,
        pairs.candidate_price_model,
        case
            when own.measured_events >= {{ var('advice_measured_events') }}
                then cast(own.measured_credits as double) / cast(own.measured_usd as double)
        end as credits_per_usd
    from pairs
    left join measured as own
        on
            pairs.account_id = own.account_id
            and pairs.category = own.category
            and pairs.candidate_model = own.model
    where pairs.nearness = 1

)

select * from priced
