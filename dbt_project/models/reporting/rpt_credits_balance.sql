-- Grain: one row an account: its settled balance and the pace of the last four weeks.

with

accounts as (

    select * from {{ ref('dim_account') }}

),

lots as (

    select * from {{ ref('fct_credit_lot') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

freshness as (

    select * from {{ ref('rpt_freshness') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

lot_sums as (

    select
        account_id,
        sum(case when status <> 'scheduled' then granted_credits else 0 end) as granted_credits,
        sum(consumed_credits) as consumed_credits,
        sum(forfeited_credits) as forfeited_credits,
        sum(remaining_credits) as remaining_credits,
        min(case when remaining_credits > 0 then expires_at end) as next_expiry_at
    from lots
    group by account_id

),

-- What is left of the lots that expire first.
expiring as (

    select
        lots.account_id,
        sum(lots.remaining_credits) as next_expiry_credits
    from lots
    inner join lot_sums
        on
            lots.account_id = lot_sums.account_id
            and lots.expires_at = lot_sums.next_expiry_at
    group by lots.account_id

),

overage_sums as (

    select
        account_id,
        sum(case when posting_kind = 'overage' then credits else -credits end) as overage_credits
    from postings
    where posting_kind in ('overage', 'overage_payment')
    group by account_id

),

-- Days that may lie in the last four weeks of any time zone.
window_days as (

    select
        dates.date_day,
        dates.iso_weekday
    from dates
    cross join freshness
    where
        dates.date_day >= {{ add_days('cast(freshness.as_of as date)', -30) }}
        and dates.date_day <= {{ add_days('cast(freshness.as_of as date)', 1) }}

),

-- The 28 whole days of the account before the newest batch; days before its first usage are left out.
clocks as (

    select
        accounts.account_id,
        cast({{ utc_to_local('freshness.as_of', 'accounts.time_zone') }} as date) as today
    from accounts
    cross join freshness

),

first_days as (

    select
        account_id,
        min(usage_date) as first_date
    from account_days
    group by account_id

),

recent_days as (

    select
        clocks.account_id,
        window_days.date_day as usage_date,
        window_days.iso_weekday
    from clocks
    inner join first_days
        on clocks.account_id = first_days.account_id
    inner join window_days
        on
            window_days.date_day >= {{ add_days('clocks.today', -28) }}
            and clocks.today > window_days.date_day
            and first_days.first_date <= window_days.date_day

),

weekdays as (

    select
        recent_days.account_id,
        recent_days.iso_weekday,
        percentile_cont(0.5) within group (order by coalesce(account_days.credits, 0)) as median_credits
    from recent_days
    left join account_days
        on
            recent_days.account_id = account_days.account_id
            and recent_days.usage_date = account_days.usage_date
    group by
        recent_days.account_id,
        recent_days.iso_weekday

),

paces as (

    select
        account_id,
        {{ ratio('sum(median_credits)', 'count(*)', 38, 9) }} as daily_pace_credits
    from weekdays
    group by account_id

),

figures as (

    select
        accounts.account_id,
        coalesce(lot_sums.granted_credits, 0) as granted_credits,
        coalesce(lot_sums.consumed_credits, 0) as consumed_credits,
        coalesce(lot_sums.forfeited_credits, 0) as forfeited_credits,
        coalesce(lot_sums.remaining_credits, 0) as remaining_credits,
        coalesce(overage_sums.overage_credits, 0) as overage_credits,
        coalesce(lot_sums.remaining_credits, 0) - coalesce(overage_sums.overage_credits, 0)
            as balance_credits,
        lot_sums.next_expiry_at,
        expiring.next_expiry_credits,
        paces.daily_pace_credits
    from accounts
    left join lot_sums
        on accounts.account_id = lot_sums.account_id
    left join expiring
        on accounts.account_id = expiring.account_id
    left join overage_sums
        on accounts.account_id = overage_sums.account_id
    left join paces
        on accounts.account_id = paces.account_id

),

final as (

    select
        account_id,
        cast(balance_credits as decimal(38, 9)) as balance_credits,
        cast(remaining_credits as decimal(38, 9)) as remaining_credits,
        cast(overage_credits as decimal(38, 9)) as overage_credits,
        cast(granted_credits as decimal(38, 9)) as granted_credits,
        cast(consumed_credits as decimal(38, 9)) as consumed_credits,
        cast(forfeited_credits as decimal(38, 9)) as forfeited_credits,
        next_expiry_at,
        cast(next_expiry_credits as decimal(38, 9)) as next_expiry_credits,
        daily_pace_credits,
        case
            when daily_pace_credits > 0
                then {{ ratio('greatest(balance_credits, 0)', 'daily_pace_credits', 18, 1) }}
        end as runway_days
    from figures

)

select * from final
