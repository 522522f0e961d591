-- Grain: one row a lot of credits that was granted to an account.

with

credit_grant as (

    select * from {{ source('raw', 'credit_grant') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        grant_id,
        account_id,
        purchase_id,

        ---------- texts
        reference,
        kind,
        currency,
        reason,

        ---------- numbers
        cast(credits as decimal(38, 9)) as credits,
        priority,
        paid_minor,

        ---------- timestamps
        effective_at,
        expires_at,
        recorded_at
    from credit_grant
    where {{ is_within_loads('load_id') }}

)

select * from renamed
