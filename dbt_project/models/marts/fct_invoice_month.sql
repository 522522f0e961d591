-- Grain: one row an account and a month of it: when it lies, what held in it, and the statement of its
-- credits. Worked out when it is read.

{{ config(materialized='view') }}

with

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

lots as (

    select * from {{ ref('int_credit_lots_marked') }}

),

usage_months as (

    select * from {{ ref('fct_usage_monthly') }}

),

moved as (

    select
        postings.account_id,
        cast(date_trunc('month', postings.posted_date) as date) as month,
        sum(
            case
                when postings.posting_kind = 'grant' and lots.is_invoiced is distinct from true
                    then postings.credits
                else 0
            end
        ) as granted_credits,
        sum(
            case
                when postings.posting_kind = 'grant' and lots.is_invoiced then postings.credits
                else 0
            end
        ) as invoiced_credits,
        sum(
            case
                when postings.posting_kind in ('consumption', 'overage') then postings.credits
                else 0
            end
        ) as used_credits,
        sum(
            case
                when postings.posting_kind in ('expiry', 'void', 'refund', 'chargeback')
                    then postings.credits
                else 0
            end
        ) as forfeited_credits
    from postings
    left join lots
        on postings.lot_id = lots.lot_id
    group by
        postings.account_id,
        cast(date_trunc('month', postings.posted_date) as date)

),

usage_sums as (

    select
        account_id,
        month,
        sum(events) as events,
        sum(unrated_events) as unrated_events,
        sum(unbounded_events) as unbounded_events,
        sum(exposure_high_credits) as exposure_high_credits
    from usage_months
    group by
        account_id,
        month

),

stated as (

    select
        months.*,
        coalesce(moved.granted_credits, 0) as granted_credits,
        coalesce(moved.invoiced_credits, 0) as invoiced_credits,
        coalesce(moved.used_credits, 0) as used_credits,
        coalesce(moved.forfeited_credits, 0) as forfeited_credits,
        coalesce(usage_sums.events, 0) as events,
        coalesce(usage_sums.unrated_events, 0) as unrated_events,
        coalesce(usage_sums.unbounded_events, 0) as unbounded_events,
        coalesce(usage_sums.exposure_high_credits, 0) as exposure_high_credits
    from months
    left join moved
        on
            months.account_id = moved.account_id
            and months.month = moved.month
    left join usage_sums
        on
            months.account_id = usage_sums.account_id
            and months.month = usage_sums.month

),

running as (

    select
        stated.*,
        sum(granted_credits + invoiced_credits - used_credits - forfeited_credits) over (
            partition by account_id
            order by month
            rows between unbounded preceding and current row
        ) as closing_credits,
        sum(invoiced_credits) over (
            partition by account_id
            order by month
            rows between unbounded preceding and current row
        ) as invoiced_credits_so_far
    from stated

),

final as (

    select
        ---------- ids
        account_id,
        month,

        ---------- texts
        name,
        plan,
        currency,
        time_zone,

        ---------- numbers
        overage_price,
        cast(
            closing_credits - granted_credits - invoiced_credits + used_credits + forfeited_credits
            as decimal(38, 9)
        ) as opening_credits,
        cast(granted_credits as decimal(38, 9)) as granted_credits,
        cast(invoiced_credits as decimal(38, 9)) as invoiced_credits,
        cast(used_credits as decimal(38, 9)) as used_credits,
        cast(forfeited_credits as decimal(38, 9)) as forfeited_credits,
        cast(closing_credits as decimal(38, 9)) as closing_credits,
        cast(invoiced_credits_so_far as decimal(38, 9)) as invoiced_credits_so_far,
        cast(events as bigint) as events,
        cast(unrated_events as bigint) as unrated_events,
        case
            when unbounded_events = 0 then cast(exposure_high_credits as decimal(38, 9))
        end as exposure_high_credits,

        ---------- timestamps
        starts_at,
        ends_at
    from running

)

select * from final
