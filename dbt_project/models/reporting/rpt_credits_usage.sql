-- Grain: one row an account, a day of it and a segment in which it used credits: settled usage as
-- the live balance takes it.

with

segment_days as (

    select * from {{ ref('int_credit_usage_segmented') }}

),

final as (

    select
        account_id,
        usage_date,
        segment,
        credits,
        first_occurred_at,
        last_occurred_at
    from segment_days

)

select * from final
