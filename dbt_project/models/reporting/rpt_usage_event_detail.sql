-- Grain: one row a current usage event, with its batch and the prices that held at its time.

with

events as (

    select * from {{ ref('rpt_usage_event') }}

),

loads as (

    select * from {{ ref('dim_load') }}

),

rate_cards as (

    select * from {{ ref('int_rate_cards_dated') }}

),

models as (

    select * from {{ ref('int_models_matched') }}

),

prices as (

    select * from {{ ref('int_model_prices_dated') }}

),

measured as (

    select
        events.*,
        models.provider as matched_provider,
        models.price_model as matched_model,
        {{ second_of_day('events.occurred_at') }} as second_of_day,
        coalesce(events.input_tokens, 0)
        + coalesce(events.cache_read_tokens, 0)
        + coalesce(events.cache_write_tokens, 0) as prompt_tokens
    from events
    left join models
        on events.model = models.model

),

-- A card of the model itself is never mixed with the one of its category; a price of a time of day
-- goes before that of the whole day.
found as (

    select
        measured.*,
        loads.kind as load_kind,
        loads.path as load_path,
        loads.finished_at as loaded_at,
        rate_cards.model as card_model,
        rate_cards.starts_at as card_starts_at,
        rate_cards.call_credits,
        rate_cards.second_credits,
        rate_cards.input_token_credits,
        rate_cards.cache_read_token_credits,
        rate_cards.cache_write_token_credits,
        rate_cards.output_token_credits,
        prices.provider as price_provider,
        prices.price_model,
        prices.release as price_release,
        prices.starts_at as price_starts_at,
        prices.tier_start as price_tier_start,
        prices.input_usd_per_mtok,
        coalesce(prices.cache_read_usd_per_mtok, prices.input_usd_per_mtok) as cache_read_usd_per_mtok,
        coalesce(prices.cache_write_usd_per_mtok, prices.input_usd_per_mtok) as cache_write_usd_per_mtok,
        prices.output_usd_per_mtok,
        row_number() over (
            partition by
                measured.usage_date_utc,
                measured.account_id,
                measured.source,
                measured.event_id
            order by
                case when rate_cards.model is null then 1 else 0 end,
                case when prices.day_start_second is null then 1 else 0 end
        ) as choice
    from measured
    left join loads
        on measured.load_id = loads.load_id
    left join rate_cards
        on
            measured.category = rate_cards.category
            and coalesce(rate_cards.model, measured.model) = measured.model
            and measured.occurred_at >= rate_cards.starts_at
            and measured.occurred_at < rate_cards.ends_at
    left join prices
        on
            measured.matched_provider = prices.provider
            and measured.matched_model = prices.price_model
            and measured.occurred_at >= prices.starts_at
            and measured.occurred_at < prices.ends_at
            and measured.prompt_tokens >= prices.tier_start
            and measured.prompt_tokens < prices.tier_end
            and (
                prices.day_start_second is null
                or (
                    measured.second_of_day >= prices.day_start_second
                    and measured.second_of_day < prices.day_end_second
                )
                or (
                    prices.day_start_second >= prices.day_end_second
                    and (
                        measured.second_of_day >= prices.day_start_second
                        or measured.second_of_day < prices.day_end_second
                    )
                )
            )

),

final as (

    select
        source,
        event_id,
        revision,
        load_id,
        line_number,
        account_id,
        agent_id,
        session_id,
        request_hash,
        category,
        model,
        status,
        rating_status,
        provider_cost_status,
        tags,
        execution_ms,
        logged_credits,
        card_credits,
        credits,
        exposure_low_credits,
        exposure_high_credits,
        input_tokens,
        cache_read_tokens,
        cache_write_tokens,
        output_tokens,
        total_tokens,
        provider_cost_usd,
        usage_date_utc,
        usage_date,
        occurred_at,
        load_kind,
        load_path,
        loaded_at,
        card_model,
        card_starts_at,
        call_credits,
        second_credits,
        input_token_credits,
        cache_read_token_credits,
        cache_write_token_credits,
        output_token_credits,
        price_provider,
        price_model,
        price_release,
        price_starts_at,
        price_tier_start,
        input_usd_per_mtok,
        cache_read_usd_per_mtok,
        cache_write_usd_per_mtok,
        output_usd_per_mtok
    from found
    where choice = 1

)

select * from final
