-- Grain: one row a current event of the touched days, with what its tokens cost at the provider's
-- list price of its time.

{{ config(materialized='ephemeral') }}

with

events as (

    select * from {{ ref('int_usage_events_rated') }}

),

models as (

    select * from {{ ref('int_models_matched') }}

),

prices as (

    select * from {{ ref('int_model_prices_dated') }}

),

whole_day_prices as (

    select * from prices
    where day_start_second is null

),

time_of_day_prices as (

    select * from prices
    where day_start_second is not null

),

measured as (

    select
        events.*,
        models.provider,
        models.price_model,
        {{ second_of_day('events.occurred_at') }} as second_of_day,
        coalesce(events.input_tokens, 0)
        + coalesce(events.cache_read_tokens, 0)
        + coalesce(events.cache_write_tokens, 0) as prompt_tokens
    from events
    left join models
        on events.model = models.model

),

-- A tier holds for all tokens of the request; a price of a time of day goes before that of the day.
priced as (

    select
        measured.*,
        coalesce(time_of_day_prices.provider, whole_day_prices.provider) as price_provider,
        case
            when time_of_day_prices.provider is not null then time_of_day_prices.input_usd_per_mtok
            else whole_day_prices.input_usd_per_mtok
        end as input_usd_per_mtok,
        case
            when time_of_day_prices.provider is not null then time_of_day_prices.cache_read_usd_per_mtok
            else whole_day_prices.cache_read_usd_per_mtok
        end as cache_read_usd_per_mtok,
        case
            when time_of_day_prices.provider is not null then time_of_day_prices.cache_write_usd_per_mtok
            else whole_day_prices.cache_write_usd_per_mtok
        end as cache_write_usd_per_mtok,
        case
            when time_of_day_prices.provider is not null then time_of_day_prices.output_usd_per_mtok
            else whole_day_prices.output_usd_per_mtok
        end as output_usd_per_mtok
    from measured
    left join whole_day_prices
        on
            measured.provider = whole_day_prices.provider
            and measured.price_model = whole_day_prices.price_model
            and measured.occurred_at >= whole_day_prices.starts_at
            and measured.occurred_at < whole_day_prices.ends_at
            and measured.prompt_tokens >= whole_day_prices.tier_start
            and measured.prompt_tokens < whole_day_prices.tier_end
    left join time_of_day_prices
        on
            measured.provider = time_of_day_prices.provider
            and measured.price_model = time_of_day_prices.price_model
            and measured.occurred_at >= time_of_day_prices.starts_at
            and measured.occurred_at < time_of_day_prices.ends_at
            and measured.prompt_tokens >= time_of_day_prices.tier_start
            and measured.prompt_tokens < time_of_day_prices.tier_end
            and (
                (
                    measured.second_of_day >= time_of_day_prices.day_start_second
                    and measured.second_of_day < time_of_day_prices.day_end_second
                )
                or (
                    time_of_day_prices.day_start_second >= time_of_day_prices.day_end_second
                    and (
                        measured.second_of_day >= time_of_day_prices.day_start_second
                        or measured.second_of_day < time_of_day_prices.day_end_second
                    )
                )
            )

),

-- Cached tokens without a price of their own cost what input costs.
listed as (

    select
        priced.*,
        coalesce(cache_read_usd_per_mtok, input_usd_per_mtok) as read_usd_per_mtok,
        coalesce(cache_write_usd_per_mtok, input_usd_per_mtok) as write_usd_per_mtok
    from priced

),

judged as (

    select
        listed.*,
        case
            when not {{ has_tokens('listed') }} then 'no_tokens'
            when price_model is null then 'unknown_model'
            when price_provider is null then 'no_price'
            when input_tokens > 0 and input_usd_per_mtok is null then 'no_price'
            when cache_read_tokens > 0 and read_usd_per_mtok is null then 'no_price'
            when cache_write_tokens > 0 and write_usd_per_mtok is null then 'no_price'
            when output_tokens > 0 and output_usd_per_mtok is null then 'no_price'
            else 'priced'
        end as provider_cost_status
    from listed

),

costed as (

    select
        judged.*,
        case
            when provider_cost_status = 'priced'
                then cast(
                    {{ round_half_up(
                        "(coalesce(input_tokens, 0) * coalesce(input_usd_per_mtok, 0)"
                        " + coalesce(cache_read_tokens, 0) * coalesce(read_usd_per_mtok, 0)"
                        " + coalesce(cache_write_tokens, 0) * coalesce(write_usd_per_mtok, 0)"
                        " + coalesce(output_tokens, 0) * coalesce(output_usd_per_mtok, 0))"
                        " * cast(0.000001 as decimal(7, 6))", 12
                    ) }}
                    as decimal(24, 12)
                )
        end as provider_cost_usd
    from judged

)

select * from costed
