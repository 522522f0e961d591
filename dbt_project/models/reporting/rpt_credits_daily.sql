-- Grain: one row an account and a day of it, without gaps from the first on which its credits changed
-- to the day of the newest batch.

with

balances as (

    select * from {{ ref('fct_credit_balance_daily') }}

),

accounts as (

    select * from {{ ref('dim_account') }}

),

freshness as (

    select * from {{ ref('rpt_freshness') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

spans as (

    select
        account_id,
        min(balance_date) as first_date,
        max(balance_date) as last_date
    from balances
    group by account_id

),

spine as (

    select
        spans.account_id,
        dates.date_day as balance_date,
        dates.month
    from spans
    left join accounts
        on spans.account_id = accounts.account_id
    cross join freshness
    inner join dates
        on
            spans.first_date <= dates.date_day
            and greatest(
                spans.last_date,
                cast({{ utc_to_local('freshness.as_of', "coalesce(accounts.time_zone, 'UTC')") }} as date)
            ) >= dates.date_day

),

days as (

    select
        spine.account_id,
        spine.month,
        spine.balance_date,
        coalesce(balances.granted_credits, 0) as granted_credits,
        coalesce(balances.consumed_credits, 0) as consumed_credits,
        coalesce(balances.overage_credits, 0) as overage_credits,
        coalesce(balances.overage_paid_credits, 0) as overage_paid_credits,
        coalesce(balances.forfeited_credits, 0) as forfeited_credits,
        sum(
            coalesce(balances.granted_credits, 0)
            - coalesce(balances.consumed_credits, 0)
            - coalesce(balances.overage_credits, 0)
            - coalesce(balances.forfeited_credits, 0)
        ) over (
            partition by spine.account_id
            order by spine.balance_date
            rows between unbounded preceding and current row
        ) as closing_credits
    from spine
    left join balances
        on
            spine.account_id = balances.account_id
            and spine.balance_date = balances.balance_date

),

final as (

    select
        account_id,
        month,
        balance_date,
        cast(granted_credits as decimal(38, 9)) as granted_credits,
        cast(consumed_credits as decimal(38, 9)) as consumed_credits,
        cast(overage_credits as decimal(38, 9)) as overage_credits,
        cast(overage_paid_credits as decimal(38, 9)) as overage_paid_credits,
        cast(forfeited_credits as decimal(38, 9)) as forfeited_credits,
        cast(closing_credits as decimal(38, 9)) as closing_credits
    from days

)

select * from final
