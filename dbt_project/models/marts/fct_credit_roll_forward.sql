-- Grain: one row an account, a month in which something moved in its lots, a currency (null: lots without
-- cash) and a rate of tax (null: not known). Worked out when it is read.

{{ config(materialized='view') }}

with

movements as (

    select * from {{ ref('int_credit_months_summed') }}

),

changed as (

    select
        movements.*,
        granted_credits
        - consumed_credits - expired_credits - voided_credits - refunded_credits - charged_back_credits
            as changed_credits,
        sold_minor
        - consumed_minor - expired_minor - voided_minor - refunded_minor - charged_back_minor
            as changed_minor
    from movements

),

running as (

    select
        changed.*,
        sum(changed_credits) over (
            partition by account_id, currency, tax_percent
            order by month
            rows between unbounded preceding and current row
        ) as closing_credits,
        sum(changed_minor) over (
            partition by account_id, currency, tax_percent
            order by month
            rows between unbounded preceding and current row
        ) as closing_minor
    from changed

),

final as (

    select
        ---------- ids
        account_id,
        month,

        ---------- texts
        currency,

        ---------- numbers
        cast(tax_percent as decimal(24, 12)) as tax_percent,
        cast(closing_credits - changed_credits as decimal(38, 9)) as opening_credits,
        cast(granted_credits as decimal(38, 9)) as granted_credits,
        cast(consumed_credits as decimal(38, 9)) as consumed_credits,
        cast(expired_credits as decimal(38, 9)) as expired_credits,
        cast(voided_credits as decimal(38, 9)) as voided_credits,
        cast(refunded_credits as decimal(38, 9)) as refunded_credits,
        cast(charged_back_credits as decimal(38, 9)) as charged_back_credits,
        cast(closing_credits as decimal(38, 9)) as closing_credits,
        cast(closing_minor - changed_minor as decimal(38, 21)) as opening_minor,
        cast(sold_minor as decimal(38, 21)) as sold_minor,
        cast(consumed_minor as decimal(38, 21)) as consumed_minor,
        cast(expired_minor as decimal(38, 21)) as expired_minor,
        cast(voided_minor as decimal(38, 21)) as voided_minor,
        cast(refunded_minor as decimal(38, 21)) as refunded_minor,
        cast(charged_back_minor as decimal(38, 21)) as charged_back_minor,
        cast(closing_minor as decimal(38, 21)) as closing_minor
    from running

)

select * from final
