-- Grain: one row an account, with or without usage.

{{ config(materialized='table') }}

with

accounts as (

    select * from {{ ref('dim_account') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

spans as (

    select
        account_id,
        min(usage_date) as first_usage_date,
        max(usage_date) as last_usage_date
    from account_days
    group by account_id

),

final as (

    select
        accounts.account_id,
        accounts.name,
        accounts.time_zone,
        accounts.currency,
        accounts.plan,
        spans.first_usage_date,
        spans.last_usage_date,
        cast(date_trunc('month', spans.last_usage_date) as date) as last_month
    from accounts
    left join spans
        on accounts.account_id = spans.account_id

)

select * from final
