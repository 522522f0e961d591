-- Grain: one row a batch of the loader, up to the newest that was read.

with

loads as (

    select * from {{ ref('stg_raw__loads') }}

),

final as (

    select
        load_id,
        kind,
        source,
        path,
        rows_read,
        rows_loaded,
        rows_duplicate,
        rows_rejected,
        started_at,
        finished_at
    from loads

)

select * from final
