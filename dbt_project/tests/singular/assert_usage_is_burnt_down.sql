-- Fails on accounts whose rated usage is not what lots and overage took of it, to the last digit.

{{ config(meta={'dagster': {'ref': {'name': 'fct_credit_posting'}}}) }}

-- depends_on: {{ ref('int_credit_accounts_touched') }}

with

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}
    where {{ is_checked_account('account_id') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}
    where {{ is_checked_account('account_id') }}

),

used as (

    select
        account_id,
        sum(credits) as credits
    from account_days
    group by account_id

),

burnt as (

    select
        account_id,
        sum(credits) as credits
    from postings
    where posting_kind in ('consumption', 'overage')
    group by account_id

),

differing as (

    select
        coalesce(used.account_id, burnt.account_id) as account_id,
        used.credits as used_credits,
        burnt.credits as burnt_credits
    from used
    full outer join burnt
        on used.account_id = burnt.account_id
    where coalesce(used.credits, 0) <> coalesce(burnt.credits, 0)

)

select * from differing
