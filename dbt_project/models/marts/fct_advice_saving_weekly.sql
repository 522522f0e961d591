-- Grain: one row an acceptance of an advice and a week since then with usage in its scope.

with

daily as (

    select * from {{ ref('fct_advice_usage_daily') }}

),

decisions as (

    select * from {{ ref('int_advice_decisions_dated') }}

),

numbered as (

    select
        daily.*,
        cast(
            floor({{ days_between('decisions.measured_from', 'daily.usage_date_utc') }} / 7.0) as integer
        ) as weeks_before
    from daily
    inner join decisions
        on
            daily.decision_id = decisions.decision_id
            and (decisions.measured_until is null or daily.usage_date_utc < decisions.measured_until)

),

weekly as (

    select
        decision_id,
        weeks_before,
        count(*) as days,
        sum(events) as events,
        sum(units) as units,
        sum(quantity) as quantity,
        sum(credits) as credits
    from numbered
    group by
        decision_id,
        weeks_before

),

-- As much for each unit as before; calls that were not made count what one costs now.
expected as (

    select
        weekly.*,
        decisions.account_id,
        decisions.advice_id,
        decisions.measured_from,
        case
            when decisions.kind in ('repeated_requests', 'repeated_shapes')
                then {{ ratio('weekly.credits', 'weekly.quantity', 38, 15) }}
            else 1
        end as credits_each,
        {{ ratio('decisions.baseline_quantity', 'decisions.baseline_units', 38, 15) }} as quantity_each
    from weekly
    inner join decisions
        on weekly.decision_id = decisions.decision_id

),

final as (

    select
        account_id,
        decision_id,
        advice_id,
        cast(weeks_before + 1 as integer) as week_number,
        {{ add_days('measured_from', '7 * weeks_before') }} as week_from,
        cast(days as integer) as days,
        cast(events as bigint) as events,
        cast(units as bigint) as units,
        cast(
            round(cast(units as double) * cast(quantity_each as double) * cast(credits_each as double), 9)
            as decimal(38, 9)
        ) as expected_credits,
        cast(
            round(cast(quantity as double) * cast(credits_each as double), 9)
            as decimal(38, 9)
        ) as actual_credits,
        cast(
            round(
                (cast(units as double) * cast(quantity_each as double) - cast(quantity as double))
                * cast(credits_each as double),
                9
            )
            as decimal(38, 9)
        ) as saved_credits
    from expected

)

select * from final
