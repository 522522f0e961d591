-- Grain: one row an account and a day from today to the end of its month: the path that is projected.

with

projected_days as (

    select * from {{ ref('fct_projection_daily') }}

),

projections as (

    select * from {{ ref('fct_projection') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

running as (

    select
        projected_days.account_id,
        projected_days.month,
        projected_days.usage_date,
        projected_days.expected_credits + coalesce(account_days.credits, 0) as expected_credits,
        projections.credits,
        projections.projected_high_credits,
        projections.projected_low_credits,
        projections.projected_credits,
        sum(projected_days.expected_credits) over (
            partition by projected_days.account_id
            order by projected_days.usage_date
            rows between unbounded preceding and current row
        ) as rest_to_date
    from projected_days
    inner join projections
        on
            projected_days.account_id = projections.account_id
            and projections.scope = 'account'
    left join account_days
        on
            projected_days.account_id = account_days.account_id
            and projected_days.usage_date = account_days.usage_date
    where projected_days.scope = 'account'

),

-- The range opens as the deviation of a sum does, and ends as that of the month.
opened as (

    select
        running.*,
        power(
            {{ ratio('rest_to_date', 'projected_credits - credits', 18, 12) }}, 0.75
        ) as opening
    from running

),

final as (

    select
        account_id,
        month,
        usage_date,
        cast(expected_credits as decimal(38, 9)) as expected_credits,
        cast(credits + rest_to_date as decimal(38, 9)) as projected_credits,
        cast(
            credits + greatest(
                rest_to_date
                - cast(cast(projected_credits - projected_low_credits as double) * opening as decimal(38, 9)),
                0
            ) as decimal(38, 9)
        ) as projected_low_credits,
        cast(
            credits + rest_to_date
            + cast(cast(projected_high_credits - projected_credits as double) * opening as decimal(38, 9))
            as decimal(38, 9)
        ) as projected_high_credits
    from opened

)

select * from final
