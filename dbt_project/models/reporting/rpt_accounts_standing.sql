-- Grain: one row an account, with or without usage: how it stands in the month that runs. For the
-- platform's staff.

with

accounts as (

    select * from {{ ref('rpt_account') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

balances as (

    select * from {{ ref('rpt_credits_balance') }}

),

projections as (

    select * from {{ ref('fct_projection') }}

),

run_outs as (

    select * from {{ ref('fct_projection_run_out') }}

),

incidents as (

    select * from {{ ref('fct_incident') }}

),

freshness as (

    select * from {{ ref('rpt_freshness') }}

),

clocks as (

    select
        accounts.account_id,
        cast({{ utc_to_local('freshness.as_of', 'accounts.time_zone') }} as date) as today
    from accounts
    cross join freshness

),

months as (

    select
        account_id,
        today,
        cast(date_trunc('month', today) as date) as month
    from clocks

),

used as (

    select
        months.account_id,
        sum(account_days.credits) as credits,
        sum(account_days.events) as events,
        sum(account_days.unrated_events) as unrated_events,
        sum(account_days.unpriced_events) as unpriced_events,
        sum(account_days.provider_cost_usd) as provider_cost_usd
    from months
    inner join account_days
        on
            months.account_id = account_days.account_id
            and months.month = account_days.month
    group by months.account_id

),

-- What the month's credits were paid with, as fct_credit_margin_daily has it. Money of several
-- currencies is not added up: it is blank.
earned as (

    select
        months.account_id,
        min(postings.currency) as currency,
        count(distinct postings.currency) as currencies,
        sum(postings.value_minor) as revenue_minor
    from months
    inner join postings
        on
            months.account_id = postings.account_id
            and months.month = cast(date_trunc('month', postings.usage_date) as date)
    where
        postings.posting_kind in ('consumption', 'overage_payment')
        and postings.value_minor > 0
    group by months.account_id

),

-- The last incident of the week that nobody marked as expected.
spikes as (

    select
        months.account_id,
        max(incidents.first_date) as spike_date
    from months
    inner join incidents
        on
            months.account_id = incidents.account_id
            and incidents.last_date >= {{ add_days('months.today', -7) }}
    where
        not incidents.is_expected
        and incidents.excess_credits >= {{ var('spike_min_credits') }}
    group by months.account_id

),

figures as (

    select
        accounts.account_id,
        accounts.name,
        accounts.time_zone,
        accounts.currency,
        accounts.plan,
        accounts.first_usage_date,
        accounts.last_usage_date,
        months.today,
        months.month,
        coalesce(used.credits, 0) as credits,
        coalesce(used.events, 0) as events,
        coalesce(used.unrated_events, 0) as unrated_events,
        coalesce(used.unpriced_events, 0) as unpriced_events,
        used.provider_cost_usd,
        coalesce(earned.currencies, 0) as currencies,
        earned.currency as revenue_currency,
        cast(coalesce(earned.revenue_minor, 0) as decimal(38, 12)) as revenue_minor,
        coalesce(projections.projected_credits, used.credits, 0) as projected_credits,
        projections.projected_cost_usd,
        coalesce(balances.granted_credits, 0) as granted_credits,
        coalesce(balances.balance_credits, 0) as balance_credits,
        coalesce(balances.overage_credits, 0) as overage_credits,
        balances.runway_days,
        run_outs.run_out_date,
        spikes.spike_date
    from accounts
    inner join months
        on accounts.account_id = months.account_id
    left join used
        on accounts.account_id = used.account_id
    left join earned
        on accounts.account_id = earned.account_id
    left join balances
        on accounts.account_id = balances.account_id
    left join projections
        on
            accounts.account_id = projections.account_id
            and projections.scope = 'account'
            and months.month = projections.month
    left join run_outs
        on projections.account_id = run_outs.account_id
    left join spikes
        on accounts.account_id = spikes.account_id

),

-- A US dollar has a hundred minor units.
final as (

    select
        account_id,
        name,
        time_zone,
        currency,
        plan,
        first_usage_date,
        last_usage_date,
        today,
        month,
        cast(credits as decimal(38, 9)) as credits,
        cast(events as bigint) as events,
        cast(unrated_events as bigint) as unrated_events,
        cast(unpriced_events as bigint) as unpriced_events,
        cast(provider_cost_usd as decimal(38, 12)) as provider_cost_usd,
        case when currencies = 1 then revenue_currency end as revenue_currency,
        case when currencies <= 1 then revenue_minor end as revenue_minor,
        case
            when unpriced_events = 0 and currencies <= 1 and coalesce(revenue_currency, 'USD') = 'USD'
                then cast(
                    revenue_minor * cast(0.01 as decimal(3, 2)) - coalesce(provider_cost_usd, 0)
                    as decimal(38, 12)
                )
        end as margin_usd,
        cast(projected_credits as decimal(38, 9)) as projected_credits,
        cast(projected_cost_usd as decimal(38, 12)) as projected_cost_usd,
        cast(granted_credits as decimal(38, 9)) as granted_credits,
        cast(balance_credits as decimal(38, 9)) as balance_credits,
        cast(overage_credits as decimal(38, 9)) as overage_credits,
        runway_days,
        run_out_date,
        spike_date
    from figures

)

select * from final
