-- Fails on events whose rate card or list price, as the usage log shows them, multiplied by the
-- event's quantities is not what the event was rated at. Runs with full_checks only.

{{ config(meta={'dagster': {'ref': {'name': 'rpt_usage_event_detail'}}}) }}

with

details as (

    select * from {{ ref('rpt_usage_event_detail') }}
    where {{ is_checked(none, true) }}

),

multiplied as (

    select
        source,
        event_id,
        card_credits,
        provider_cost_usd,
        {{ card_credits('details', 'details') }} as shown_credits,
        cast(
            {{ round_half_up(
                "(coalesce(input_tokens, 0) * coalesce(input_usd_per_mtok, 0)"
                " + coalesce(cache_read_tokens, 0) * coalesce(cache_read_usd_per_mtok, 0)"
                " + coalesce(cache_write_tokens, 0) * coalesce(cache_write_usd_per_mtok, 0)"
                " + coalesce(output_tokens, 0) * coalesce(output_usd_per_mtok, 0))"
                " * cast(0.000001 as decimal(7, 6))", 12
            ) }}
            as decimal(24, 12)
        ) as shown_cost_usd
    from details

),

differing as (

    select * from multiplied
    where card_credits <> shown_credits or provider_cost_usd <> shown_cost_usd

)

select * from differing
