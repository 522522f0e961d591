-- Grain: one row a category, a model (null: every model without a card of its own) and a period
-- in which none of its rates changes.

with

rates as (

    select * from {{ ref('stg_raw__rates') }}

),

-- Of one start the rate recorded last counts.
ranked as (

    select
        rates.*,
        row_number() over (
            partition by rates.category, rates.model, rates.unit, rates.effective_from
            order by rates.rate_id desc
        ) as rate_rank
    from rates

),

unit_periods as (

    select
        category,
        model,
        unit,
        credits_per_unit,
        effective_from as starts_at,
        coalesce(
            lead(effective_from) over (
                partition by category, model, unit order by effective_from
            ),
            timestamp '9999-12-31 00:00:00'
        ) as ends_at
    from ranked
    where rate_rank = 1

),

starts as (

    select distinct
        category,
        model,
        starts_at
    from unit_periods

),

periods as (

    select
        category,
        model,
        starts_at,
        coalesce(
            lead(starts_at) over (partition by category, model order by starts_at),
            timestamp '9999-12-31 00:00:00'
        ) as ends_at
    from starts

),

dated as (

    select
        periods.category,
        periods.model,
        periods.starts_at,
        periods.ends_at,
        max(case when unit_periods.unit = 'call' then unit_periods.credits_per_unit end)
            as call_credits,
        max(case when unit_periods.unit = 'second' then unit_periods.credits_per_unit end)
            as second_credits,
        max(case when unit_periods.unit = 'input_token' then unit_periods.credits_per_unit end)
            as input_token_credits,
        max(case when unit_periods.unit = 'cache_read_token' then unit_periods.credits_per_unit end)
            as cache_read_token_credits,
        max(case when unit_periods.unit = 'cache_write_token' then unit_periods.credits_per_unit end)
            as cache_write_token_credits,
        max(case when unit_periods.unit = 'output_token' then unit_periods.credits_per_unit end)
            as output_token_credits
    from periods
    inner join unit_periods
        on
            periods.category = unit_periods.category
            and coalesce(periods.model, '') = coalesce(unit_periods.model, '')
            and (periods.model is null) = (unit_periods.model is null)
            and periods.starts_at >= unit_periods.starts_at
            and periods.starts_at < unit_periods.ends_at
    group by
        periods.category,
        periods.model,
        periods.starts_at,
        periods.ends_at

)

select * from dated
