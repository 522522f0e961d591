-- Grain: one row a posting of the credit ledger: an account, a kind, a lot (null: overage), a day of
-- usage (null: none) and a segment.

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

segments as (

    select * from {{ ref('int_credit_segments_cut') }}

),

takes as (

    select * from {{ ref('int_credit_takes_made') }}

),

segment_days as (

    select * from {{ ref('int_credit_usage_segmented') }}

),

account_terms as (

    select * from {{ ref('int_account_terms_dated') }}

),

zone_days as (

    select * from {{ ref('int_zone_days_cut') }}

),

-- Usage of a segment, day after day, from where to where.
used as (

    select
        account_id,
        usage_date,
        segment,
        last_occurred_at,
        sum(credits) over (
            partition by account_id, segment
            order by usage_date
            rows between unbounded preceding and current row
        ) - credits as used_from,
        sum(credits) over (
            partition by account_id, segment
            order by usage_date
            rows between unbounded preceding and current row
        ) as used_to
    from segment_days
    where {{ is_touched_account('account_id') }}

),

-- A day's usage meets what lots took of its segment: where the two overlap.
consumed as (

    select
        used.account_id,
        used.usage_date,
        used.segment,
        used.last_occurred_at,
        takes.lot_id,
        greatest(used.used_from, takes.take_from) - takes.take_from + takes.lot_from as lot_from,
        least(used.used_to, takes.take_to) - takes.take_from + takes.lot_from as lot_to
    from used
    inner join takes
        on
            used.account_id = takes.account_id
            and used.segment = takes.segment
            and used.used_from < takes.take_to
            and used.used_to > takes.take_from
    where not takes.is_repayment

),

covered as (

    select
        account_id,
        segment,
        max(take_to) as covered_to
    from takes
    where not is_repayment
    group by
        account_id,
        segment

),

-- What the lots left of a segment's usage is overage.
uncovered as (

    select
        used.account_id,
        used.usage_date,
        used.segment,
        used.last_occurred_at,
        used.used_to - greatest(used.used_from, coalesce(covered.covered_to, 0)) as credits
    from used
    left join covered
        on
            used.account_id = covered.account_id
            and used.segment = covered.segment
    where used.used_to > coalesce(covered.covered_to, 0)

),

overage as (

    select
        uncovered.*,
        sum(credits) over (
            partition by account_id
            order by segment, usage_date
            rows between unbounded preceding and current row
        ) as overage_to
    from uncovered

),

-- Lots that begin pay the oldest overage first.
repaid as (

    select
        overage.account_id,
        overage.usage_date,
        takes.segment,
        takes.lot_id,
        greatest(overage.overage_to - overage.credits, takes.take_from)
        - takes.take_from + takes.lot_from as lot_from,
        least(overage.overage_to, takes.take_to) - takes.take_from + takes.lot_from as lot_to
    from overage
    inner join takes
        on
            overage.account_id = takes.account_id
            and overage.overage_to - overage.credits < takes.take_to
            and overage.overage_to > takes.take_from
    where takes.is_repayment

),

spent as (

    select
        lot_id,
        max(lot_from + take_to - take_from) as credits
    from takes
    group by lot_id

),

-- Moments at which lots begin and end, in the account's days.
moments as (

    select
        lots.lot_id,
        lots.effective_at as posted_at,
        true as is_begin
    from lots
    where lots.is_begun

    union all

    select
        lots.lot_id,
        lots.ends_at as posted_at,
        false as is_begin
    from lots
    where lots.is_begun and lots.is_ended

),

-- Most days are cut already; the others cost a conversion.
dated as (

    select
        moments.lot_id,
        moments.posted_at,
        moments.is_begin,
        case
            when zone_days.cut_at is null
                then {{ account_date('moments.posted_at', 'account_terms') }}
            when moments.posted_at >= zone_days.cut_at
                then greatest(zone_days.last_date, account_terms.first_usage_date)
            else greatest(zone_days.first_date, account_terms.first_usage_date)
        end as posted_date
    from moments
    inner join lots
        on moments.lot_id = lots.lot_id
    left join account_terms
        on
            lots.account_id = account_terms.account_id
            and moments.posted_at >= account_terms.starts_at
            and moments.posted_at < account_terms.ends_at
    left join zone_days
        on
            account_terms.time_zone = zone_days.time_zone
            and cast(moments.posted_at as date) = zone_days.usage_date_utc

),

granted as (

    select
        lots.account_id,
        'grant' as posting_kind,
        lots.lot_id,
        cast(null as date) as usage_date,
        segments.segment,
        dated.posted_at,
        dated.posted_date,
        lots.credits,
        lots.currency,
        cast(coalesce(lots.paid_minor, 0) as decimal(38, 21)) as value_minor,
        cast(coalesce(lots.paid_minor, 0) as decimal(38, 21)) as cash_minor,
        cast(0 as decimal(38, 21)) as receivable_minor
    from lots
    inner join dated
        on lots.lot_id = dated.lot_id
    inner join segments
        on
            lots.account_id = segments.account_id
            and lots.effective_at = segments.starts_at
    where dated.is_begin

),

consumption as (

    select
        consumed.account_id,
        'consumption' as posting_kind,
        consumed.lot_id,
        consumed.usage_date,
        consumed.segment,
        consumed.last_occurred_at as posted_at,
        consumed.usage_date as posted_date,
        consumed.lot_to - consumed.lot_from as credits,
        lots.currency,
        case
            when lots.paid_minor > 0
                then
                    {{ value_of_consumed('lots', 'consumed.lot_to') }}
                    - {{ value_of_consumed('lots', 'consumed.lot_from') }}
            else 0
        end as value_minor,
        cast(0 as decimal(38, 21)) as cash_minor,
        cast(0 as decimal(38, 21)) as receivable_minor
    from consumed
    inner join lots
        on consumed.lot_id = lots.lot_id

),

overspent as (

    select
        account_id,
        'overage' as posting_kind,
        cast(null as bigint) as lot_id,
        usage_date,
        segment,
        last_occurred_at as posted_at,
        usage_date as posted_date,
        credits,
        cast(null as varchar) as currency,
        cast(0 as decimal(38, 21)) as value_minor,
        cast(0 as decimal(38, 21)) as cash_minor,
        cast(0 as decimal(38, 21)) as receivable_minor
    from overage

),

-- A day may have had overage in more than one segment.
repayment as (

    select
        repaid.account_id,
        'overage_payment' as posting_kind,
        repaid.lot_id,
        repaid.usage_date,
        repaid.segment,
        lots.effective_at as posted_at,
        dated.posted_date,
        sum(repaid.lot_to - repaid.lot_from) as credits,
        lots.currency,
        sum(
            case
                when lots.paid_minor > 0
                    then
                        {{ value_of_consumed('lots', 'repaid.lot_to') }}
                        - {{ value_of_consumed('lots', 'repaid.lot_from') }}
                else 0
            end
        ) as value_minor,
        cast(0 as decimal(38, 21)) as cash_minor,
        cast(0 as decimal(38, 21)) as receivable_minor
    from repaid
    inner join lots
        on repaid.lot_id = lots.lot_id
    inner join dated
        on repaid.lot_id = dated.lot_id
    where dated.is_begin
    group by
        repaid.account_id,
        repaid.lot_id,
        repaid.usage_date,
        repaid.segment,
        lots.effective_at,
        dated.posted_date,
        lots.currency

),

-- What is left when a lot ends, and the money that goes with it: a refund gives some of it back, a
-- chargeback takes it back and leaves a claim on what was spent.
forfeited as (

    select
        lots.account_id,
        lots.end_cause as posting_kind,
        lots.lot_id,
        cast(null as date) as usage_date,
        segments.segment,
        dated.posted_at,
        dated.posted_date,
        lots.credits - coalesce(spent.credits, 0) as credits,
        lots.currency,
        cast(coalesce(lots.paid_minor, 0) as decimal(38, 21))
        - case
            when lots.paid_minor > 0
                then {{ value_of_consumed('lots', 'coalesce(spent.credits, 0)') }}
            else 0
        end as value_minor,
        cast(
            case
                when lots.end_cause in ('refund', 'chargeback') then -coalesce(lots.refunded_minor, 0)
                else 0
            end as decimal(38, 21)
        ) as cash_minor,
        cast(
            case when lots.end_cause = 'chargeback' then coalesce(lots.receivable_minor, 0) else 0 end
            as decimal(38, 21)
        ) as receivable_minor
    from lots
    inner join dated
        on lots.lot_id = dated.lot_id
    inner join segments
        on
            lots.account_id = segments.account_id
            and lots.ends_at = segments.starts_at
    left join spent
        on lots.lot_id = spent.lot_id
    where not dated.is_begin

),

unioned as (

    select * from granted

    union all

    select * from consumption

    union all

    select * from overspent

    union all

    select * from repayment

    union all

    select * from forfeited
    where credits > 0 or cash_minor <> 0 or receivable_minor <> 0

),

final as (

    select
        ---------- ids
        account_id,
        lot_id,

        ---------- texts
        posting_kind,
        currency,

        ---------- numbers
        cast(segment as bigint) as segment,
        cast(credits as decimal(38, 9)) as credits,
        cast(value_minor as decimal(38, 21)) as value_minor,
        cash_minor,
        receivable_minor,

        ---------- dates and timestamps
        usage_date,
        posted_date,
        posted_at
    from unioned

)

select * from final
