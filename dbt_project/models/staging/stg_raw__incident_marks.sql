-- Grain: one row a mark: days of an account that are to count as expected, or no longer.

with

incident_mark as (

    select * from {{ source('raw', 'incident_mark') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        mark_id,
        account_id,

        ---------- texts
        reason,

        ---------- booleans
        is_expected,

        ---------- dates and timestamps
        first_date,
        last_date,
        recorded_at
    from incident_mark
    where {{ is_within_loads('load_id') }}

)

select * from renamed
