-- Grain: one row a model of a provider, a period, a time of day (null: all day) and a tier, with
-- the price of each kind of token that holds there.

with

model_prices as (

    select * from {{ ref('stg_raw__model_prices') }}

),

releases as (

    select
        provider,
        price_model,
        release,
        min(recorded_at) as recorded_at,
        min(load_id) as load_id
    from model_prices
    group by
        provider,
        price_model,
        release

),

-- A release holds from the time it was recorded; the first one that knows a model also before.
release_periods as (

    select
        provider,
        price_model,
        release,
        case
            when row_number() over release_order = 1 then timestamp '0001-01-01 00:00:00'
            else recorded_at
        end as holds_from,
        coalesce(
            lead(recorded_at) over release_order,
            timestamp '9999-12-31 00:00:00'
        ) as holds_until
    from releases
    window release_order as (
        partition by provider, price_model order by recorded_at, load_id, release
    )

),

blocks as (

    select distinct
        provider,
        price_model,
        release,
        effective_from,
        coalesce(day_start_second, -1) as day_start_key,
        coalesce(day_end_second, -1) as day_end_key
    from model_prices

),

-- A price ends where a later one of the same time of day, or of the whole day, begins.
block_periods as (

    select
        blocks.provider,
        blocks.price_model,
        blocks.release,
        blocks.effective_from,
        blocks.day_start_key,
        blocks.day_end_key,
        coalesce(min(later.effective_from), timestamp '9999-12-31 00:00:00') as effective_until
    from blocks
    left join blocks as later
        on
            blocks.provider = later.provider
            and blocks.price_model = later.price_model
            and blocks.release = later.release
            and blocks.effective_from < later.effective_from
            and (
                later.day_start_key = -1
                or (
                    blocks.day_start_key = later.day_start_key
                    and blocks.day_end_key = later.day_end_key
                )
            )
    group by
        blocks.provider,
        blocks.price_model,
        blocks.release,
        blocks.effective_from,
        blocks.day_start_key,
        blocks.day_end_key

),

tiers as (

    select distinct
        provider,
        price_model,
        release,
        effective_from,
        coalesce(day_start_second, -1) as day_start_key,
        coalesce(day_end_second, -1) as day_end_key,
        tier_start
    from model_prices

),

tier_ranges as (

    select
        tiers.*,
        coalesce(
            lead(tiers.tier_start) over (
                partition by
                    tiers.provider,
                    tiers.price_model,
                    tiers.release,
                    tiers.effective_from,
                    tiers.day_start_key,
                    tiers.day_end_key
                order by tiers.tier_start
            ),
            9223372036854775807
        ) as tier_end
    from tiers

),

-- A kind of token without a price of its own in a tier keeps that of the tier below.
tier_prices as (

    select
        tier_ranges.provider,
        tier_ranges.price_model,
        tier_ranges.release,
        tier_ranges.effective_from,
        tier_ranges.day_start_key,
        tier_ranges.day_end_key,
        tier_ranges.tier_start,
        tier_ranges.tier_end,
        max_by(model_prices.usd_per_mtok, model_prices.tier_start)
        filter (where model_prices.token_kind = 'input')
            as input_usd_per_mtok,
        max_by(model_prices.usd_per_mtok, model_prices.tier_start)
        filter (where model_prices.token_kind = 'cache_read')
            as cache_read_usd_per_mtok,
        max_by(model_prices.usd_per_mtok, model_prices.tier_start)
        filter (where model_prices.token_kind = 'cache_write')
            as cache_write_usd_per_mtok,
        max_by(model_prices.usd_per_mtok, model_prices.tier_start)
        filter (where model_prices.token_kind = 'output')
            as output_usd_per_mtok
    from tier_ranges
    inner join model_prices
        on
            tier_ranges.provider = model_prices.provider
            and tier_ranges.price_model = model_prices.price_model
            and tier_ranges.release = model_prices.release
            and tier_ranges.effective_from = model_prices.effective_from
            and tier_ranges.day_start_key = coalesce(model_prices.day_start_second, -1)
            and tier_ranges.day_end_key = coalesce(model_prices.day_end_second, -1)
            and tier_ranges.tier_start >= model_prices.tier_start
    group by
        tier_ranges.provider,
        tier_ranges.price_model,
        tier_ranges.release,
        tier_ranges.effective_from,
        tier_ranges.day_start_key,
        tier_ranges.day_end_key,
        tier_ranges.tier_start,
        tier_ranges.tier_end

),

dated as (

    select
        tier_prices.provider,
        tier_prices.price_model,
        tier_prices.release,
        greatest(tier_prices.effective_from, release_periods.holds_from) as starts_at,
        least(block_periods.effective_until, release_periods.holds_until) as ends_at,
        nullif(tier_prices.day_start_key, -1) as day_start_second,
        nullif(tier_prices.day_end_key, -1) as day_end_second,
        tier_prices.tier_start,
        tier_prices.tier_end,
        tier_prices.input_usd_per_mtok,
        tier_prices.cache_read_usd_per_mtok,
        tier_prices.cache_write_usd_per_mtok,
        tier_prices.output_usd_per_mtok
    from tier_prices
    inner join block_periods
        on
            tier_prices.provider = block_periods.provider
            and tier_prices.price_model = block_periods.price_model
            and tier_prices.release = block_periods.release
            and tier_prices.effective_from = block_periods.effective_from
            and tier_prices.day_start_key = block_periods.day_start_key
            and tier_prices.day_end_key = block_periods.day_end_key
    inner join release_periods
        on
            tier_prices.provider = release_periods.provider
            and tier_prices.price_model = release_periods.price_model
            and tier_prices.release = release_periods.release

),

held as (

    select * from dated
    where starts_at < ends_at

)

select * from held
