-- Grain: one row an account with credits left: when they run out at the pace that is expected.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_accounts',
        on_schema_change='fail',
        sorted_by='account_id',
        meta={'touched': 'int_projection_accounts_touched', 'dagster': {'group': 'marts'}},
    )
}}

with

accounts as (

    select * from {{ ref('int_projection_accounts_dated') }}

),

levels as (

    select * from {{ ref('int_projection_parts_levelled') }}

),

projected_days as (

    select * from {{ ref('fct_projection_daily') }}

),

replayed as (

    select * from {{ ref('int_projection_replayed') }}

),

lots as (

    select * from {{ ref('fct_credit_lot') }}

),

terms as (

    select * from {{ ref('dim_account') }}

),

-- A bounded calendar: joins by weekday would else go through all of its days.
dates as (

    select * from {{ ref('dim_date') }}
    where
        date_day >= (select min(accounts.today) from accounts)
        and date_day <= (select max({{ add_days('accounts.today', '365') }}) from accounts)

),

-- A lot holds from the day on which it begins to the one before it ends. Days are segments of the
-- burn-down, today being the first in which lots can begin: segment 1.
open_lots as (

    select
        accounts.account_id,
        lots.lot_id,
        lots.burn_rank,
        case
            when lots.status = 'scheduled' then lots.granted_credits
            else lots.remaining_credits
        end as credits,
        greatest(
            {{ days_between(
                'accounts.today',
                'cast(' ~ utc_to_local('lots.effective_at', "coalesce(terms.time_zone, 'UTC')") ~ ' as date)'
            ) }}, 0
        ) + 1 as begin_segment,
        case
            when lots.expires_at is not null
                then greatest(
                    {{ days_between(
                        'accounts.today',
                        'cast(' ~ utc_to_local('lots.expires_at', "coalesce(terms.time_zone, 'UTC')") ~ ' as date)'
                    ) }}, 0
                ) + 1
        end as end_segment
    from lots
    inner join accounts
        on lots.account_id = accounts.account_id
    left join terms
        on lots.account_id = terms.account_id
    where
        lots.status in ('active', 'scheduled')
        and {{ is_touched_account('lots.account_id', 'int_projection_accounts_touched') }}

),

-- A lot that would end before it begins, or that begins beyond the year ahead, holds nothing.
held_lots as (

    select
        account_id,
        lot_id,
        burn_rank,
        credits,
        begin_segment,
        case when end_segment <= 366 then greatest(end_segment, begin_segment) end as end_segment
    from open_lots
    where
        credits > 0
        and begin_segment <= 366

),

account_spreads as (

    select
        accounts.account_id,
        case
            when accounts.history_days < {{ var('projection_thin_days') }}
                then {{ thin_spread('accounts.history_days') }}
            when max(replayed.spread) is not null then max(replayed.spread)
            else {{ deviating_spread(
                'max(levels.deviation_credits)',
                var('projection_days_ahead'),
                '4 * sum(levels.level_credits)'
            ) }}
        end as spread
    from accounts
    inner join levels
        on
            accounts.account_id = levels.account_id
            and levels.scope = 'account'
    left join replayed
        on
            accounts.account_id = replayed.account_id
            and replayed.purpose = 'ahead'
    where accounts.account_id in (select held_lots.account_id from held_lots)
    group by
        accounts.account_id,
        accounts.history_days

),

scenarios as (

    select
        account_id,
        'expected' as scenario,
        1.0 as factor
    from account_spreads

    union all

    select
        account_id,
        'earliest' as scenario,
        1.0 + spread as factor
    from account_spreads

    union all

    select
        account_id,
        'latest' as scenario,
        greatest(1.0 - spread, 0.0) as factor
    from account_spreads

),

-- The month as it is projected, then the weekdays' levels, for a year.
days as (

    select
        accounts.account_id,
        dates.date_day,
        cast({{ days_between('accounts.today', 'dates.date_day') }} as integer) + 1 as segment,
        coalesce(projected_days.expected_credits, levels.level_credits) as credits
    from accounts
    inner join levels
        on
            accounts.account_id = levels.account_id
            and levels.scope = 'account'
    inner join dates
        on
            levels.iso_weekday = dates.iso_weekday
            and accounts.today <= dates.date_day
            and dates.date_day <= {{ add_days('accounts.today', '365') }}
    left join projected_days
        on
            accounts.account_id = projected_days.account_id
            and projected_days.scope = 'account'
            and dates.date_day = projected_days.usage_date
    where accounts.account_id in (select held_lots.account_id from held_lots)

),

segments as (

    select
        scenarios.scenario || ' ' || days.account_id as account_id,
        scenarios.account_id as burning_account_id,
        scenarios.scenario,
        days.segment,
        days.date_day,
        cast(
            {{ round_half_up('cast(days.credits as double) * scenarios.factor', 9) }} as decimal(38, 9)
        ) as credits
    from days
    inner join scenarios
        on days.account_id = scenarios.account_id

    union all

    select
        scenario || ' ' || account_id as account_id,
        account_id as burning_account_id,
        scenario,
        0 as segment,
        cast(null as date) as date_day,
        cast(0 as decimal(38, 9)) as credits
    from scenarios

),

scenario_lots as (

    select
        scenarios.scenario || ' ' || held_lots.account_id as account_id,
        held_lots.lot_id,
        row_number() over (
            partition by scenarios.scenario, held_lots.account_id
            order by held_lots.burn_rank
        ) as burn_rank,
        held_lots.credits,
        held_lots.begin_segment,
        held_lots.end_segment
    from held_lots
    inner join scenarios
        on held_lots.account_id = scenarios.account_id

),

takes as (

    select * from {{ burnt_down('scenario_lots', 'segments') }}

),

paid as (

    select
        account_id,
        segment,
        sum(take_to - take_from) as credits
    from takes
    where not is_repayment
    group by
        account_id,
        segment

),

-- The first day that the lots do not cover.
ends as (

    select
        segments.burning_account_id as account_id,
        segments.scenario,
        min(segments.date_day) as run_out_date
    from segments
    left join paid
        on
            segments.account_id = paid.account_id
            and segments.segment = paid.segment
    where segments.credits > coalesce(paid.credits, 0)
    group by
        segments.burning_account_id,
        segments.scenario

),

final as (

    select
        account_spreads.account_id,
        account_spreads.spread,
        max(case when ends.scenario = 'expected' then ends.run_out_date end) as run_out_date,
        max(case when ends.scenario = 'earliest' then ends.run_out_date end) as earliest_run_out_date,
        max(case when ends.scenario = 'latest' then ends.run_out_date end) as latest_run_out_date
    from account_spreads
    left join ends
        on account_spreads.account_id = ends.account_id
    group by
        account_spreads.account_id,
        account_spreads.spread

)

select * from final
