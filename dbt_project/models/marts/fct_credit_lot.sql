-- Grain: one row a lot of credits, as it stands now.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_accounts',
        on_schema_change='fail',
        sorted_by='account_id',
    )
}}

with

lots as (

    select * from {{ ref('int_credit_lots_ordered') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

-- Refunds and chargebacks are told apart from what was lost: it is all value that left the lot.
sums as (

    select
        lot_id,
        sum(case when posting_kind in ('consumption', 'overage_payment') then credits else 0 end)
            as consumed_credits,
        sum(case when posting_kind in ('consumption', 'overage_payment') then value_minor else 0 end)
            as recognised_minor,
        sum(
            case when posting_kind in ('expiry', 'void', 'refund', 'chargeback') then credits else 0 end
        ) as forfeited_credits,
        sum(
            case
                when posting_kind in ('expiry', 'void', 'refund', 'chargeback') then value_minor
                else 0
            end
        ) as released_minor,
        sum(
            case
                when posting_kind in ('expiry', 'void', 'refund', 'chargeback')
                    then value_minor + cash_minor + receivable_minor
                else 0
            end
        ) as breakage_minor,
        sum(case when posting_kind <> 'grant' then -cash_minor else 0 end) as returned_minor,
        sum(receivable_minor) as receivable_minor,
        max(case when posting_kind in ('consumption', 'overage_payment') then posted_at end)
            as last_used_at
    from postings
    where
        {{ is_touched_account('account_id') }}
        and lot_id is not null
    group by lot_id

),

stated as (

    select
        lots.*,
        coalesce(sums.consumed_credits, 0) as consumed_credits,
        coalesce(sums.forfeited_credits, 0) as forfeited_credits,
        case
            when lots.is_begun
                then lots.credits - coalesce(sums.consumed_credits, 0) - coalesce(sums.forfeited_credits, 0)
            else 0
        end as remaining_credits,
        coalesce(sums.recognised_minor, 0) as recognised_minor,
        coalesce(sums.breakage_minor, 0) as breakage_minor,
        coalesce(sums.returned_minor, 0) as returned_minor,
        coalesce(sums.receivable_minor, 0) as claimed_minor,
        case
            when lots.is_begun
                then
                    coalesce(lots.paid_minor, 0)
                    - coalesce(sums.recognised_minor, 0)
                    - coalesce(sums.released_minor, 0)
            else 0
        end as deferred_minor,
        sums.last_used_at
    from lots
    left join sums
        on lots.lot_id = sums.lot_id

),

final as (

    select
        ---------- ids
        lot_id,
        account_id,
        purchase_id,

        ---------- texts
        kind,
        case
            when not is_begun then 'scheduled'
            when consumed_credits = credits then 'exhausted'
            when is_ended and end_cause = 'expiry' then 'expired'
            when is_ended then 'voided'
            else 'active'
        end as status,
        case when is_ended then end_cause end as end_cause,
        currency,
        reason,

        ---------- numbers
        cast(burn_rank as bigint) as burn_rank,
        priority,
        cast(credits as decimal(38, 9)) as granted_credits,
        cast(consumed_credits as decimal(38, 9)) as consumed_credits,
        cast(forfeited_credits as decimal(38, 9)) as forfeited_credits,
        cast(remaining_credits as decimal(38, 9)) as remaining_credits,
        paid_minor,
        unit_cost_minor,
        cast(recognised_minor as decimal(38, 21)) as recognised_minor,
        cast(breakage_minor as decimal(38, 21)) as breakage_minor,
        cast(returned_minor as decimal(38, 21)) as returned_minor,
        cast(claimed_minor as decimal(38, 21)) as receivable_minor,
        cast(deferred_minor as decimal(38, 21)) as deferred_minor,

        ---------- timestamps
        effective_at,
        expires_at,
        voided_at,
        last_used_at,
        recorded_at
    from stated

)

select * from final
