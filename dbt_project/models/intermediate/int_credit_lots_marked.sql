-- Grain: one row a lot that Meterhouse made by itself: for overage that was invoiced, or for what a
-- refund left of another lot.

with

grants as (

    select * from {{ ref('stg_raw__credit_grants') }}

),

marked as (

    select
        grant_id as lot_id,
        account_id,
        reference like 'invoice:%' as is_invoiced,
        reference like 'remainder:%' as is_remainder
    from grants
    where
        reference like 'invoice:%'
        or reference like 'remainder:%'

)

select * from marked
