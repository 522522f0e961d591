-- Grain: one row a current usage event.

with

events as (

    select * from {{ ref('fct_usage') }}

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
        case
            when {{ has_tokens('events') }}
                then cast(
                    coalesce(input_tokens, 0)
                    + coalesce(cache_read_tokens, 0)
                    + coalesce(cache_write_tokens, 0)
                    + coalesce(output_tokens, 0)
                    as bigint
                )
        end as total_tokens,
        provider_cost_usd,
        usage_date_utc,
        usage_date,
        occurred_at
    from events

)

select * from final
