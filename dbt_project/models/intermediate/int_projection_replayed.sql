-- Grain: one row a projection of int_projection_probed: what it expects, what came of it where that
-- is known, and how far off the same projection was when it was made in the weeks before.

{%- set replays = var('projection_replays') | int %}

with

probes as (

    select * from {{ ref('int_projection_probed') }}

),

days as (

    select * from {{ ref('int_projection_days_levelled') }}

),

replay_numbers as (

    {% for number in range(replays + 1) %}
        select {{ number }} as replay_number{{ ' union all' if not loop.last }}
    {% endfor %}

),

-- Replay 0 is the projection itself. The others go back by whole weeks, so that weekdays meet, and
-- begin with the newest whose days had all passed.
origins as (

    select
        probes.account_id,
        probes.purpose,
        probes.month,
        probes.elapsed_days,
        probes.origin_day as probe_day,
        probes.horizon_days,
        replay_numbers.replay_number,
        cast(floor(probes.horizon_days / 7.0) as integer) as whole_weeks,
        probes.horizon_days % 7 as further_days,
        cast(
            probes.origin_day
            - case
                when replay_numbers.replay_number = 0 then 0
                else 7 * (ceil(probes.horizon_days / 7.0) + replay_numbers.replay_number - 1)
            end
            as integer
        ) as origin_day
    from probes
    cross join replay_numbers

),

expected as (

    select
        origins.account_id,
        origins.purpose,
        origins.month,
        origins.elapsed_days,
        origins.probe_day,
        origins.horizon_days,
        origins.replay_number,
        origins.whole_weeks * last_days.week_levels
        + case
            when origins.further_days = 0 then 0
            else further_days.levels_to_date - (last_days.levels_to_date - last_days.week_levels)
        end as expected_credits,
        ends.credits_to_date - last_days.credits_to_date as actual_credits,
        case
            when origins.origin_day >= 364 + {{ var('projection_seasonal_days') }}
                then {{ seasonal_factor(
                    'year_before_ends.credits_to_date - last_days.year_before_credits_to_date',
                    'origins.whole_weeks * last_days.year_before_week_levels'
                    ' + further_days.year_before_levels_to_date'
                    ' - (last_days.year_before_levels_to_date - last_days.year_before_week_levels)'
                ) }}
            else 1.0
        end as seasonal_factor
    from origins
    inner join days as last_days
        on
            origins.account_id = last_days.account_id
            and origins.origin_day - 1 = last_days.day_number
    inner join days as further_days
        on
            origins.account_id = further_days.account_id
            and greatest(origins.origin_day - 8 + origins.further_days, 0) = further_days.day_number
    left join days as ends
        on
            origins.account_id = ends.account_id
            and origins.origin_day + origins.horizon_days - 1 = ends.day_number
    left join days as year_before_ends
        on
            origins.account_id = year_before_ends.account_id
            and origins.origin_day + origins.horizon_days - 365 = year_before_ends.day_number
    where
        origins.replay_number = 0
        or origins.origin_day >= {{ var('projection_replay_days') }}

),

-- How far off a replay was, in parts of what it expected.
missed as (

    select
        expected.*,
        expected_credits * seasonal_factor as projected_credits,
        case
            when replay_number > 0 and expected_credits > 0
                then abs(
                    cast(actual_credits as double) / (cast(expected_credits as double) * seasonal_factor)
                    - 1
                )
        end as miss
    from expected

),

ranked as (

    select
        account_id,
        purpose,
        month,
        elapsed_days,
        miss,
        row_number() over (
            partition by account_id, purpose, month, elapsed_days
            order by miss
        ) as miss_rank,
        count(*) over (partition by account_id, purpose, month, elapsed_days) as misses
    from missed
    where miss is not null

),

-- Four out of five misses, and one more place for the projection itself: what n replays say of the
-- next one (split conformal prediction).
spreads as (

    select
        account_id,
        purpose,
        month,
        elapsed_days,
        max(misses) as replays,
        max(case when miss_rank = ceil(0.8 * (misses + 1)) then miss end) as spread
    from ranked
    group by
        account_id,
        purpose,
        month,
        elapsed_days

),

final as (

    select
        missed.account_id,
        missed.purpose,
        missed.month,
        missed.elapsed_days,
        missed.probe_day,
        missed.horizon_days,
        missed.seasonal_factor,
        cast(missed.projected_credits as decimal(38, 9)) as projected_credits,
        cast(missed.actual_credits as decimal(38, 9)) as actual_credits,
        cast(coalesce(spreads.replays, 0) as integer) as replays,
        spreads.spread
    from missed
    left join spreads
        on
            missed.account_id = spreads.account_id
            and missed.purpose = spreads.purpose
            and missed.month = spreads.month
            and missed.elapsed_days = spreads.elapsed_days
    where missed.replay_number = 0

)

select * from final
