-- Grain: one row an accepted revision that a higher one replaced.

with

usage_supersession as (

    select * from {{ source('raw', 'usage_supersession') }}

),

renamed as (

    select
        load_id,
        source,
        event_id,
        revision,
        superseded_by,
        usage_date_utc
    from usage_supersession
    where {{ is_within_loads('load_id') }}

)

select * from renamed
