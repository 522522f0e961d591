-- Grain: one row an account, a day of it, an agent and a model: what its credits were paid with, less
-- what its tokens cost.

{{ config(materialized='view') }}

with

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

log_days as (

    select * from {{ ref('fct_usage_log_daily') }}

),

used as (

    select
        account_id,
        usage_date,
        month,
        agent_id,
        model,
        sum(credits) as credits,
        sum(provider_cost_usd) as provider_cost_usd,
        sum(unpriced_events) as unpriced_events
    from log_days
    group by
        account_id,
        usage_date,
        month,
        agent_id,
        model

),

-- What the credits of a day's usage were paid with, whenever its overage was paid. Money of several
-- currencies is not added up: the day's is blank.
earned as (

    select
        account_id,
        usage_date,
        min(currency) as currency,
        count(distinct currency) as currencies,
        cast(sum(value_minor) as decimal(38, 12)) as revenue_minor
    from postings
    where
        posting_kind in ('consumption', 'overage_payment')
        and value_minor > 0
    group by
        account_id,
        usage_date

),

totals as (

    select
        account_id,
        usage_date,
        sum(credits) as day_credits
    from used
    group by
        account_id,
        usage_date

),

-- Revenue of a credit of the day, rounded down to 12 decimals.
priced as (

    select
        earned.account_id,
        earned.usage_date,
        earned.currency,
        earned.currencies,
        earned.revenue_minor,
        cast(
            {{ whole_quotient(
                "cast(earned.revenue_minor * 1000000000000 as decimal(38, 0)) * 1000000000",
                "nullif(cast(totals.day_credits * 1000000000 as decimal(38, 0)), 0)"
            ) }} as decimal(38, 0)
        ) * cast(0.000000000001 as decimal(12, 12)) as credit_revenue_minor
    from earned
    inner join totals
        on
            earned.account_id = totals.account_id
            and earned.usage_date = totals.usage_date

),

-- Each agent and model has its credits' share; what rounding left goes to the largest.
shared as (

    select
        used.account_id,
        used.usage_date,
        used.month,
        used.agent_id,
        used.model,
        used.credits,
        used.provider_cost_usd,
        used.unpriced_events,
        coalesce(priced.currencies, 0) as currencies,
        priced.currency,
        coalesce(priced.revenue_minor, 0) as day_revenue_minor,
        cast(used.credits * coalesce(priced.credit_revenue_minor, 0) as decimal(38, 12)) as share_minor,
        row_number() over (
            partition by used.account_id, used.usage_date
            order by used.credits desc, used.agent_id asc, used.model asc
        ) as share_rank
    from used
    left join priced
        on
            used.account_id = priced.account_id
            and used.usage_date = priced.usage_date

),

fitted as (

    select
        shared.*,
        share_minor
        + case
            when share_rank = 1
                then day_revenue_minor - sum(share_minor) over (partition by account_id, usage_date)
            else 0
        end as revenue_minor
    from shared

),

-- A US dollar has a hundred minor units.
margins as (

    select
        account_id,
        month,
        usage_date,
        agent_id,
        model,
        cast(credits as decimal(38, 9)) as credits,
        case when currencies = 1 then currency end as currency,
        case when currencies <= 1 then cast(revenue_minor as decimal(38, 12)) end as revenue_minor,
        cast(provider_cost_usd as decimal(38, 12)) as provider_cost_usd,
        cast(unpriced_events as bigint) as unpriced_events,
        case
            when unpriced_events = 0 and currencies <= 1 and coalesce(currency, 'USD') = 'USD'
                then cast(
                    revenue_minor * cast(0.01 as decimal(3, 2)) - coalesce(provider_cost_usd, 0)
                    as decimal(38, 12)
                )
        end as margin_usd
    from fitted

)

select * from margins
