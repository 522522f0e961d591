-- Grain: one row a UTC day, a day of the account, an account, a category and a model, for usage
-- that has both logged credits and a rate card.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        on_schema_change='fail',
        partitioned_by='usage_date_utc',
    )
}}

with

usage as (

    select * from {{ ref('fct_usage') }}

),

compared as (

    select
        usage_date_utc,
        usage_date,
        account_id,
        category,
        model,
        cast(count(*) as bigint) as compared_events,
        cast(count(*) filter (where logged_credits <> card_credits) as bigint) as differing_events,
        cast(sum(logged_credits) as decimal(38, 9)) as logged_credits,
        cast(sum(card_credits) as decimal(38, 9)) as card_credits,
        cast(sum(logged_credits - card_credits) as decimal(38, 9)) as difference_credits
    from usage
    where
        {{ is_touched_day('usage_date_utc') }}
        and logged_credits is not null
        and card_credits is not null
    group by
        usage_date_utc,
        usage_date,
        account_id,
        category,
        model

)

select * from compared
