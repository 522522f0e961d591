-- Grain: one row a batch of the loader.

with

load as (

    select * from {{ source('raw', 'load') }}

),

renamed as (

    select
        ---------- ids
        load_id,

        ---------- texts
        kind,
        source,
        path,

        ---------- numbers
        rows_read,
        rows_loaded,
        rows_duplicate,
        rows_rejected,

        ---------- timestamps
        started_at,
        finished_at
    from load
    where {{ is_within_loads('load_id') }}

)

select * from renamed
