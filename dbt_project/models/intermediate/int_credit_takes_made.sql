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

-- Lots without effect yet are left out; the others keep their order.
begun_lots as (

    select
        lots.account_id,
        lots.lot_id,
        lots.credits,
        begins.segment as begin_segment,
        ends.segment as end_segment,
        row_number() over (partition by lots.account_id order by lots.burn_rank) as burn_rank
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

burnt as (

    select * from {{ burnt_down('begun_lots', 'segment_usage') }} as takes

),

made as (

    select
        burnt.account_id,
        begun_lots.lot_id,
        burnt.segment,
        burnt.is_repayment,
        burnt.take_from,
        burnt.take_to,
        burnt.lot_from
    from burnt
    inner join begun_lots
        on
            burnt.account_id = begun_lots.account_id
            and burnt.burn_rank = begun_lots.burn_rank

)

select * from made
