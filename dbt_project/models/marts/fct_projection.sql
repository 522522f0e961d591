-- Grain: one row an account and a part of it: the month that runs, as it is expected to end.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_accounts',
        on_schema_change='fail',
        sorted_by='account_id',
        meta={'touched': 'int_projection_accounts_touched', 'dagster': {'group': 'marts'}},
    )
}}

with

accounts as (

    select * from {{ ref('int_projection_accounts_dated') }}

),

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

levels as (

    select * from {{ ref('int_projection_parts_levelled') }}

),

replayed as (

    select * from {{ ref('int_projection_replayed') }}

),

projected_days as (

    select * from {{ ref('fct_projection_daily') }}

),

-- A bounded calendar: joins by weekday would else go through all of its days.
dates as (

    select * from {{ ref('dim_date') }}
    where
        date_day >= (select min(accounts.today) from accounts)
        and date_day <= (select max({{ add_days('accounts.today', '31') }}) from accounts)

),

-- What is used, and what a credit costs the provider: over the month and the two before.
used as (

    select
        months.account_id,
        case
            when grouping(months.category) = 0 then 'category'
            when grouping(months.model) = 0 then 'model'
            when grouping(months.agent_id) = 0 then 'agent'
            else 'account'
        end as scope,
        coalesce(months.category, months.model, months.agent_id, '') as part,
        sum(case when months.month = accounts.month then months.credits else 0 end) as credits,
        sum(case when months.month = accounts.month then months.provider_cost_usd end)
            as provider_cost_usd,
        coalesce(
            cast(sum(months.provider_cost_usd) as double) / nullif(cast(sum(months.credits) as double), 0),
            0
        ) as credit_cost_usd,
        count(months.provider_cost_usd) > 0 as is_priced
    from months
    inner join accounts
        on months.account_id = accounts.account_id
    where
        months.month <= accounts.month
        and months.month >= {{ previous_month(previous_month('accounts.month')) }}
        and {{ is_touched_account('months.account_id', 'int_projection_accounts_touched') }}
    group by grouping sets (
        (months.account_id),
        (months.account_id, months.category),
        (months.account_id, months.model),
        (months.account_id, months.agent_id)
    )

),

-- What a part's own levels expect of the days to come, to weigh its deviation with.
own as (

    select
        levels.account_id,
        levels.scope,
        levels.part,
        max(levels.history_days) as history_days,
        max(levels.deviation_credits) as deviation_credits,
        count(*) as horizon_days,
        sum(levels.level_credits) as level_credits
    from levels
    inner join accounts
        on levels.account_id = accounts.account_id
    inner join dates
        on
            levels.iso_weekday = dates.iso_weekday
            and accounts.today <= dates.date_day
            and dates.date_day < {{ next_month('accounts.month') }}
    group by
        levels.account_id,
        levels.scope,
        levels.part

),

rests as (

    select
        account_id,
        scope,
        part,
        sum(expected_credits) as rest_credits
    from projected_days
    where {{ is_touched_account('account_id', 'int_projection_accounts_touched') }}
    group by
        account_id,
        scope,
        part

),

parts as (

    select
        own.account_id,
        own.scope,
        own.part
    from own

    union distinct

    select
        used.account_id,
        used.scope,
        used.part
    from used
    where used.credits > 0 or used.provider_cost_usd > 0

),

joined as (

    select
        parts.account_id,
        parts.scope,
        parts.part,
        accounts.month,
        accounts.today as projected_on,
        coalesce(own.history_days, accounts.history_days) as history_days,
        coalesce(used.credits, 0) as credits,
        coalesce(rests.rest_credits, 0) as rest_credits,
        coalesce(used.is_priced, false) as is_priced,
        coalesce(used.provider_cost_usd, 0) as provider_cost_usd,
        cast(coalesce(rests.rest_credits, 0) as double) * coalesce(used.credit_cost_usd, 0.0)
            as rest_weight,
        case
            when coalesce(own.history_days, accounts.history_days) < {{ var('projection_thin_days') }}
                then {{ thin_spread('coalesce(own.history_days, accounts.history_days)') }}
            when parts.scope = 'account' and replayed.spread is not null then replayed.spread
            else {{ deviating_spread('own.deviation_credits', 'own.horizon_days', 'own.level_credits') }}
        end as spread,
        case
            when coalesce(own.history_days, accounts.history_days) < {{ var('projection_thin_days') }}
                then 'thin'
            when parts.scope = 'account' and replayed.spread is not null then 'replays'
            else 'deviation'
        end as interval_basis
    from parts
    inner join accounts
        on parts.account_id = accounts.account_id
    left join own
        on
            parts.account_id = own.account_id
            and parts.scope = own.scope
            and parts.part = own.part
    left join used
        on
            parts.account_id = used.account_id
            and parts.scope = used.scope
            and parts.part = used.part
    left join rests
        on
            parts.account_id = rests.account_id
            and parts.scope = rests.scope
            and parts.part = rests.part
    left join replayed
        on
            parts.account_id = replayed.account_id
            and replayed.purpose = 'month'

),

-- The account's cost of the days to come, shared by what each part's credits cost.
costed as (

    select
        joined.*,
        cast(
            {{ round_half_up(
                "max(case when scope = 'account' then rest_weight end) over (partition by account_id)", 12
            ) }} as decimal(38, 12)
        ) as account_rest_cost_usd,
        coalesce(
            rest_weight
            / nullif(
                cast(sum(cast(rest_weight as decimal(38, 12))) over (partition by account_id, scope) as double), 0
            ),
            0
        ) as cost_share,
        row_number() over (
            partition by account_id, scope
            order by is_priced desc, rest_weight desc, part asc
        ) as cost_rank
    from joined

),

shared as (

    select
        costed.*,
        {{ share_of('account_rest_cost_usd', 'cost_share', 12) }} as shared_cost_usd
    from costed

),

fitted as (

    select
        shared.*,
        shared_cost_usd
        + case
            when cost_rank = 1
                then
                    account_rest_cost_usd
                    - sum(shared_cost_usd) over (partition by account_id, scope)
            else 0
        end as rest_cost_usd
    from shared

),

final as (

    select
        account_id,
        month,
        scope,
        part,
        projected_on,
        history_days,
        history_days < {{ var('projection_thin_days') }} as is_thin,
        interval_basis,
        spread,
        cast(credits as decimal(38, 9)) as credits,
        cast(credits + rest_credits as decimal(38, 9)) as projected_credits,
        cast(
            credits
            + greatest(rest_credits - cast(cast(rest_credits as double) * spread as decimal(38, 9)), 0)
            as decimal(38, 9)
        ) as projected_low_credits,
        cast(
            credits + rest_credits + cast(cast(rest_credits as double) * spread as decimal(38, 9))
            as decimal(38, 9)
        ) as projected_high_credits,
        case when is_priced then cast(provider_cost_usd as decimal(38, 12)) end as provider_cost_usd,
        case when is_priced then cast(provider_cost_usd + rest_cost_usd as decimal(38, 12)) end
            as projected_cost_usd,
        case
            when is_priced
                then cast(
                    provider_cost_usd
                    + greatest(rest_cost_usd - cast(cast(rest_cost_usd as double) * spread as decimal(38, 12)), 0)
                    as decimal(38, 12)
                )
        end as projected_low_cost_usd,
        case
            when is_priced
                then cast(
                    provider_cost_usd + rest_cost_usd
                    + cast(cast(rest_cost_usd as double) * spread as decimal(38, 12))
                    as decimal(38, 12)
                )
        end as projected_high_cost_usd
    from fitted

)

select * from final
