-- Grain: one row an account, a day of it, an agent, a category, a model and what paid for it: a lot
-- (and the segment in which it did), or nothing yet.

{{ config(materialized='view') }}

with

log_days as (

    select * from {{ ref('fct_usage_log_daily') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

lots as (

    select * from {{ ref('int_credit_lots_netted') }}

),

used as (

    select
        account_id,
        month,
        usage_date,
        agent_id,
        category,
        model,
        sum(credits) as credits,
        sum(events - unrated_events) as operations
    from log_days
    group by
        account_id,
        month,
        usage_date,
        agent_id,
        category,
        model
    having sum(events - unrated_events) > 0

),

-- What is invoiced as overage, or stays it, is not paid by a lot: not by those of invoices, and not by
-- lots that began after the month.
settled as (

    select
        postings.account_id,
        months.month,
        postings.usage_date,
        postings.segment,
        postings.posting_kind,
        postings.lot_id,
        postings.credits,
        case
            when months.plan in ('postpaid', 'prepaid_with_overage')
                then
                    not lots.is_invoiced
                    and (postings.posting_kind = 'consumption' or postings.posted_at < months.ends_at)
            else postings.posting_kind <> 'overage'
        end as is_paid_by_lot
    from postings
    inner join months
        on
            postings.account_id = months.account_id
            and date_trunc('month', postings.usage_date) = months.month
    left join lots
        on postings.lot_id = lots.lot_id
    where postings.posting_kind in ('consumption', 'overage', 'overage_payment')

),

payers as (

    select
        account_id,
        month,
        usage_date,
        segment,
        posting_kind,
        lot_id,
        credits
    from settled
    where is_paid_by_lot

    union all

    select
        account_id,
        month,
        usage_date,
        cast(null as bigint) as segment,
        'overage' as posting_kind,
        cast(null as bigint) as lot_id,
        sum(
            case
                when posting_kind = 'overage' then credits
                when posting_kind = 'overage_payment' and is_paid_by_lot then -credits
                when posting_kind = 'consumption' and not is_paid_by_lot then credits
                else 0
            end
        ) as credits
    from settled
    group by
        account_id,
        month,
        usage_date

),

-- Agents of a day stand in the order of their names, payers in the order in which they paid: where two
-- overlap, this one paid for that one. So credits are shared exactly.
used_spans as (

    select
        used.*,
        sum(credits) over (
            partition by account_id, month, usage_date
            order by agent_id, category, model
            rows between unbounded preceding and current row
        ) as used_to
    from used

),

payer_spans as (

    select
        payers.*,
        sum(credits) over (
            partition by account_id, month, usage_date
            order by
                case when lot_id is null then 1 else 0 end,
                segment,
                case when posting_kind = 'consumption' then 0 else 1 end,
                lot_id
            rows between unbounded preceding and current row
        ) as paid_to
    from payers
    where credits > 0

),

pieces as (

    select
        used_spans.account_id,
        used_spans.month,
        used_spans.usage_date,
        used_spans.agent_id,
        used_spans.category,
        used_spans.model,
        used_spans.operations,
        used_spans.credits as used_credits,
        payer_spans.segment,
        payer_spans.posting_kind,
        payer_spans.lot_id,
        payer_spans.credits as paid_credits,
        used_spans.used_to >= payer_spans.paid_to as is_end_of_payer,
        greatest(
            used_spans.used_to - used_spans.credits, payer_spans.paid_to - payer_spans.credits
        ) - (used_spans.used_to - used_spans.credits) as piece_from,
        least(used_spans.used_to, payer_spans.paid_to)
        - (used_spans.used_to - used_spans.credits) as piece_to
    from used_spans
    inner join payer_spans
        on
            used_spans.account_id = payer_spans.account_id
            and used_spans.month = payer_spans.month
            and used_spans.usage_date = payer_spans.usage_date
            and used_spans.used_to - used_spans.credits < payer_spans.paid_to
            and used_spans.used_to > payer_spans.paid_to - payer_spans.credits
    where used_spans.credits > 0

    union all

    select
        used_spans.account_id,
        used_spans.month,
        used_spans.usage_date,
        used_spans.agent_id,
        used_spans.category,
        used_spans.model,
        used_spans.operations,
        used_spans.credits as used_credits,
        cast(null as bigint) as segment,
        'free' as posting_kind,
        cast(null as bigint) as lot_id,
        0 as paid_credits,
        false as is_end_of_payer,
        0 as piece_from,
        0 as piece_to
    from used_spans
    where used_spans.credits = 0

),

-- Operations go with their credits; parts of a row are differences of one figure, so they add up.
final as (

    select
        pieces.account_id,
        pieces.month,
        pieces.usage_date,
        pieces.agent_id,
        pieces.category,
        pieces.model,
        pieces.posting_kind,
        pieces.lot_id,
        pieces.segment,
        cast(pieces.piece_to - pieces.piece_from as decimal(38, 9)) as credits,
        case
            when pieces.used_credits = 0 then cast(pieces.operations as decimal(38, 9))
            else
                {{ ratio('pieces.operations * pieces.piece_to', 'pieces.used_credits', 38, 9) }}
                - {{ ratio('pieces.operations * pieces.piece_from', 'pieces.used_credits', 38, 9) }}
        end as operations,
        coalesce(
            pieces.is_end_of_payer
            and pieces.segment = lots.last_segment
            and pieces.usage_date = lots.last_usage_date
            and pieces.posting_kind = lots.last_posting_kind,
            false
        ) as is_last_of_lot
    from pieces
    left join lots
        on pieces.lot_id = lots.lot_id

)

select * from final
