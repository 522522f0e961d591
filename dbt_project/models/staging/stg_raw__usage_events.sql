-- Grain: one row an accepted revision of a usage event, current or not.

with

usage_event as (

    select * from {{ source('raw', 'usage_event') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        line_number,
        source,
        event_id,
        revision,
        account_id,
        agent_id,
        session_id,
        request_hash,

        ---------- texts
        category,
        model,
        status,
        tags,

        ---------- numbers
        execution_ms,
        credits as logged_credits,
        input_tokens,
        cache_read_tokens,
        cache_write_tokens,
        output_tokens,

        ---------- booleans
        is_withdrawn,

        ---------- dates and timestamps
        usage_date_utc,
        occurred_at
    from usage_event
    where {{ is_within_loads('load_id') }}

)

select * from renamed
