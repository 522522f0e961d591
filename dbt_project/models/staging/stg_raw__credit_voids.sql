-- Grain: one row a lot that ended before its time.

with

credit_void as (

    select * from {{ source('raw', 'credit_void') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        void_id,
        grant_id,

        ---------- texts
        cause,
        currency,
        reason,

        ---------- numbers
        refunded_minor,
        receivable_minor,

        ---------- timestamps
        voided_at,
        recorded_at
    from credit_void
    where {{ is_within_loads('load_id') }}

)

select * from renamed
