-- Grain: one row an account, one of its last twelve whole months and a number of days of it that had
-- passed: what was projected then, and what came.

with

backtest as (

    select * from {{ ref('fct_projection_backtest') }}

),

final as (

    select
        account_id,
        month,
        elapsed_days,
        replays,
        credits,
        actual_credits,
        projected_credits,
        projected_low_credits,
        projected_high_credits,
        run_rate_credits,
        error_share,
        is_inside
    from backtest

)

select * from final
