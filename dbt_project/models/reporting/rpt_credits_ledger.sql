-- Grain: one row a posting of the ledger, with the balance after it.

with

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

lots as (

    select * from {{ ref('fct_credit_lot') }}

),

changed as (

    select
        postings.account_id,
        postings.posted_at,
        postings.posted_date,
        cast(date_trunc('month', postings.posted_date) as date) as month,
        postings.posting_kind,
        case postings.posting_kind
            when 'grant' then 1
            when 'overage_payment' then 2
            when 'consumption' then 4
            when 'overage' then 5
            else 3
        end as posting_order,
        postings.lot_id,
        lots.kind as lot_kind,
        lots.reason as lot_reason,
        lots.burn_rank,
        postings.usage_date,
        postings.segment,
        postings.credits,
        case postings.posting_kind
            when 'grant' then postings.credits
            when 'overage_payment' then 0
            else -postings.credits
        end as change_credits,
        postings.value_minor,
        postings.currency
    from postings
    left join lots
        on
            postings.account_id = lots.account_id
            and postings.lot_id = lots.lot_id

),

numbered as (

    select
        changed.*,
        row_number() over (
            partition by account_id
            order by posted_at, posting_order, burn_rank, usage_date, segment
        ) as posting_number
    from changed

),

balanced as (

    select
        account_id,
        cast(posting_number as bigint) as posting_number,
        month,
        posted_date,
        posted_at,
        posting_kind,
        lot_id,
        lot_kind,
        lot_reason,
        usage_date,
        credits,
        cast(change_credits as decimal(38, 9)) as change_credits,
        cast(
            sum(change_credits) over (
                partition by account_id
                order by posting_number
                rows between unbounded preceding and current row
            ) as decimal(38, 9)
        ) as balance_credits,
        value_minor,
        currency
    from numbered

)

select * from balanced
