-- Grain: one row an account and a month of it, from its first usage or lot to the month of "now",
-- with the terms that hold in it and the instants between which it lies.

{{ config(materialized='view') }}

with

account_terms as (

    select * from {{ ref('int_account_terms_dated') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

dates as (

    select * from {{ ref('dim_date') }}

),

seen as (

    select
        account_id,
        usage_date as seen_date
    from account_days

    union all

    select
        account_id,
        posted_date as seen_date
    from postings

),

firsts as (

    select
        account_id,
        cast(date_trunc('month', min(seen_date)) as date) as first_month
    from seen
    group by account_id

),

months as (

    select date_day as month
    from dates
    where date_day = cast(date_trunc('month', date_day) as date)

),

-- A day beyond "now" lies in the month of every zone.
spanned as (

    select
        firsts.account_id,
        months.month
    from firsts
    cross join bounds
    inner join months
        on
            firsts.first_month <= months.month
            and {{ add_days('cast(bounds.as_of as date)', 1) }} >= months.month

),

termed as (

    select
        spanned.account_id,
        spanned.month,
        account_terms.name,
        account_terms.plan,
        account_terms.currency,
        account_terms.time_zone,
        account_terms.overage_price,
        case
            when account_terms.first_usage_date = spanned.month then account_terms.starts_at
            else {{ local_day_start('spanned.month', 'account_terms.time_zone') }}
        end as starts_at,
        {{ local_day_start(next_month('spanned.month'), 'account_terms.time_zone') }} as ends_at,
        row_number() over (
            partition by spanned.account_id, spanned.month
            order by account_terms.first_usage_date desc
        ) as term_rank
    from spanned
    inner join account_terms
        on
            spanned.account_id = account_terms.account_id
            and spanned.month >= account_terms.first_usage_date

),

final as (

    select
        account_id,
        month,
        name,
        plan,
        currency,
        time_zone,
        overage_price,
        starts_at,
        ends_at
    from termed
    where term_rank = 1

)

select * from final
