-- Grain: one row an account and a day of it on which its credits changed. Summed up when it is read:
-- who asks for one account pays for one account.

{{ config(materialized='view') }}

with

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

days as (

    select
        account_id,
        posted_date as balance_date,
        sum(case when posting_kind = 'grant' then credits else 0 end) as granted_credits,
        sum(case when posting_kind = 'consumption' then credits else 0 end) as consumed_credits,
        sum(case when posting_kind = 'overage' then credits else 0 end) as overage_credits,
        sum(case when posting_kind = 'overage_payment' then credits else 0 end)
            as overage_paid_credits,
        sum(
            case when posting_kind in ('expiry', 'void', 'refund', 'chargeback') then credits else 0 end
        ) as forfeited_credits
    from postings
    group by
        account_id,
        posted_date

),

running as (

    select
        days.*,
        sum(granted_credits - consumed_credits - overage_paid_credits - forfeited_credits) over (
            partition by account_id
            order by balance_date
            rows between unbounded preceding and current row
        ) as remaining_credits,
        sum(overage_credits - overage_paid_credits) over (
            partition by account_id
            order by balance_date
            rows between unbounded preceding and current row
        ) as open_overage_credits
    from days

),

balances as (

    select
        account_id,
        balance_date,
        cast(
            (remaining_credits - open_overage_credits)
            - (granted_credits - consumed_credits - overage_credits - forfeited_credits)
            as decimal(38, 9)
        ) as opening_credits,
        cast(granted_credits as decimal(38, 9)) as granted_credits,
        cast(consumed_credits as decimal(38, 9)) as consumed_credits,
        cast(overage_credits as decimal(38, 9)) as overage_credits,
        cast(overage_paid_credits as decimal(38, 9)) as overage_paid_credits,
        cast(forfeited_credits as decimal(38, 9)) as forfeited_credits,
        cast(remaining_credits - open_overage_credits as decimal(38, 9)) as closing_credits,
        cast(remaining_credits as decimal(38, 9)) as remaining_credits,
        cast(open_overage_credits as decimal(38, 9)) as open_overage_credits
    from running

)

select * from balances
