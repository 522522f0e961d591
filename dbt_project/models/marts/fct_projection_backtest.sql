-- Grain: one row an account, one of its last twelve whole months and a number of days of it that had
-- passed: what was projected then, and what came.

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

replayed as (

    select * from {{ ref('int_projection_replayed') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

used as (

    select
        replayed.account_id,
        replayed.month,
        replayed.elapsed_days,
        sum(account_days.credits) as credits
    from replayed
    inner join account_days
        on
            replayed.account_id = account_days.account_id
            and replayed.month = account_days.month
            and {{ add_days('replayed.month', 'replayed.elapsed_days') }} > account_days.usage_date
    where
        replayed.purpose = 'replay'
        and {{ is_touched_account('account_days.account_id', 'int_projection_accounts_touched') }}
    group by
        replayed.account_id,
        replayed.month,
        replayed.elapsed_days

),

totals as (

    select
        replayed.account_id,
        replayed.month,
        replayed.elapsed_days,
        replayed.elapsed_days + replayed.horizon_days as days_in_month,
        replayed.replays,
        replayed.spread,
        replayed.projected_credits as rest_credits,
        coalesce(used.credits, 0) as credits,
        coalesce(used.credits, 0) + replayed.actual_credits as actual_credits
    from replayed
    left join used
        on
            replayed.account_id = used.account_id
            and replayed.month = used.month
            and replayed.elapsed_days = used.elapsed_days
    where
        replayed.purpose = 'replay'
        and replayed.spread is not null

),

projected as (

    select
        totals.*,
        credits + rest_credits as projected_credits,
        credits
        + greatest(rest_credits - cast(cast(rest_credits as double) * spread as decimal(38, 9)), 0)
            as projected_low_credits,
        credits + rest_credits + cast(cast(rest_credits as double) * spread as decimal(38, 9))
            as projected_high_credits
    from totals

),

final as (

    select
        account_id,
        month,
        elapsed_days,
        replays,
        cast(credits as decimal(38, 9)) as credits,
        cast(actual_credits as decimal(38, 9)) as actual_credits,
        cast(projected_credits as decimal(38, 9)) as projected_credits,
        cast(projected_low_credits as decimal(38, 9)) as projected_low_credits,
        cast(projected_high_credits as decimal(38, 9)) as projected_high_credits,
        {{ ratio('credits * days_in_month', 'elapsed_days', 38, 9) }} as run_rate_credits,
        case
            when actual_credits > 0
                then {{ ratio('abs(projected_credits - actual_credits)', 'actual_credits', 18, 9) }}
        end as error_share,
        coalesce(
            actual_credits >= projected_low_credits and actual_credits <= projected_high_credits, false
        ) as is_inside
    from projected

)

select * from final
