-- Fails on accounts whose roll-forward does not end with what their lots have left, in credits or in what
-- was paid for them, and on months that do not open with what the month before closed with.

{{ config(meta={'dagster': {'ref': {'name': 'fct_credit_roll_forward'}}}) }}

-- depends_on: {{ ref('int_credit_accounts_touched') }}

with

months as (

    select * from {{ ref('fct_credit_roll_forward') }}
    where {{ is_checked_account('account_id') }}

),

lots as (

    select * from {{ ref('fct_credit_lot') }}
    where
        {{ is_checked_account('account_id') }}
        and status <> 'scheduled'

),

chained as (

    select
        months.*,
        lag(closing_credits, 1, 0) over (
            partition by account_id, currency, tax_percent
            order by month
        ) as credits_before,
        lag(closing_minor, 1, 0) over (
            partition by account_id, currency, tax_percent
            order by month
        ) as minor_before
    from months

),

broken as (

    select
        account_id,
        currency
    from chained
    where
        opening_credits <> credits_before
        or opening_minor <> minor_before
        or closing_credits <> opening_credits + granted_credits
        - consumed_credits - expired_credits - voided_credits - refunded_credits - charged_back_credits
        or closing_minor <> opening_minor + sold_minor
        - consumed_minor - expired_minor - voided_minor - refunded_minor - charged_back_minor

),

moved as (

    select
        account_id,
        currency,
        sum(
            granted_credits
            - consumed_credits - expired_credits - voided_credits - refunded_credits
            - charged_back_credits
        ) as credits,
        sum(
            sold_minor
            - consumed_minor - expired_minor - voided_minor - refunded_minor - charged_back_minor
        ) as deferred_minor
    from months
    group by
        account_id,
        currency

),

held as (

    select
        account_id,
        case when paid_minor is not null then currency end as currency,
        sum(remaining_credits) as credits,
        sum(deferred_minor) as deferred_minor
    from lots
    group by
        account_id,
        case when paid_minor is not null then currency end

),

differing as (

    select
        coalesce(moved.account_id, held.account_id) as account_id,
        coalesce(moved.currency, held.currency) as currency
    from moved
    full outer join held
        on
            moved.account_id = held.account_id
            and moved.currency is not distinct from held.currency
    where
        moved.credits is distinct from held.credits
        or moved.deferred_minor is distinct from held.deferred_minor

),

problems as (

    select * from broken

    union all

    select * from differing

)

select * from problems
