-- Grain: one row a take: a lot of a touched account pays for usage of a segment, or for overage at
-- a segment's start.

with

lots as (

    select * from {{ ref('int_credit_lots_ordered') }}

),

segments as (

    select * from {{ ref('int_credit_segments_cut') }}

),

segment_days as (

    select * from {{ ref('int_credit_usage_segmented') }}

),

-- Lots without effect yet are left out.
begun_lots as (

    select
        lots.account_id,
        lots.lot_id,
        lots.burn_rank,
        lots.credits,
        begins.segment as begin_segment,
        ends.segment as end_segment
    from lots
    inner join segments as begins
        on
            lots.account_id = begins.account_id
            and lots.effective_at = begins.starts_at
    left join segments as ends
        on
            lots.account_id = ends.account_id
            and lots.ends_at = ends.starts_at
    where lots.is_begun

),

used as (

    select
        account_id,
        segment,
        sum(credits) as credits
    from segment_days
    where {{ is_touched_account('account_id') }}
    group by
        account_id,
        segment

),

segment_usage as (

    select
        segments.account_id,
        segments.segment,
        coalesce(used.credits, 0) as credits
    from segments
    left join used
        on
            segments.account_id = used.account_id
            and segments.segment = used.segment

),

made as (

    select
        account_id,
        lot_id,
        segment,
        is_repayment,
        take_from,
        take_to,
        lot_from
    from {{ burnt_down('begun_lots', 'segment_usage') }} as takes

)

select * from made
