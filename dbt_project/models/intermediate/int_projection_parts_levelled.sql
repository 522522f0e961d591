-- Grain: one row a touched account, a part of it and a weekday: the level of such a day. Parts are the
-- account itself and each of its categories, models and agents with usage in the last weeks.

{%- set weeks = var('projection_weeks') | int %}

with

accounts as (

    select * from {{ ref('int_projection_accounts_dated') }}

),

log_days as (

    select * from {{ ref('fct_usage_log_daily') }}

),

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

-- A bounded calendar: joins by weekday would else go through all of its days.
dates as (

    select * from {{ ref('dim_date') }}
    where
        date_day >= (select min({{ add_days('accounts.today', '-' ~ 7 * weeks) }}) from accounts)
        and date_day <= (select max(accounts.today) from accounts)

),

part_days as (

    select
        log_days.account_id,
        case
            when grouping(log_days.category) = 0 then 'category'
            when grouping(log_days.model) = 0 then 'model'
            when grouping(log_days.agent_id) = 0 then 'agent'
            else 'account'
        end as scope,
        coalesce(log_days.category, log_days.model, log_days.agent_id, '') as part,
        log_days.usage_date,
        sum(log_days.credits) as credits
    from log_days
    inner join accounts
        on log_days.account_id = accounts.account_id
    where
        log_days.usage_date >= {{ add_days('accounts.today', '-' ~ 7 * weeks) }}
        and log_days.usage_date <= accounts.today
        and {{ is_touched_account('log_days.account_id', 'int_projection_accounts_touched') }}
    group by grouping sets (
        (log_days.account_id, log_days.usage_date),
        (log_days.account_id, log_days.usage_date, log_days.category),
        (log_days.account_id, log_days.usage_date, log_days.model),
        (log_days.account_id, log_days.usage_date, log_days.agent_id)
    )

),

-- When a part was first used, for those that were used before these weeks.
first_uses as (

    select
        account_id,
        case
            when grouping(category) = 0 then 'category'
            when grouping(model) = 0 then 'model'
            when grouping(agent_id) = 0 then 'agent'
            else 'account'
        end as scope,
        coalesce(category, model, agent_id, '') as part,
        cast(min(first_occurred_at) as date) as first_date
    from months
    where {{ is_touched_account('account_id', 'int_projection_accounts_touched') }}
    group by grouping sets (
        (account_id),
        (account_id, category),
        (account_id, model),
        (account_id, agent_id)
    )

),

recent_parts as (

    select
        account_id,
        scope,
        part,
        min(usage_date) as first_recent_date
    from part_days
    group by
        account_id,
        scope,
        part

),

parts as (

    select
        recent_parts.account_id,
        recent_parts.scope,
        recent_parts.part,
        accounts.today,
        case
            when first_uses.first_date < {{ add_days('accounts.today', '-' ~ 7 * weeks) }}
                then first_uses.first_date
            else recent_parts.first_recent_date
        end as first_date
    from recent_parts
    inner join accounts
        on recent_parts.account_id = accounts.account_id
    inner join first_uses
        on
            recent_parts.account_id = first_uses.account_id
            and recent_parts.scope = first_uses.scope
            and recent_parts.part = first_uses.part

),

-- Every whole day since a part's first use; one without usage counts as 0.
days as (

    select
        parts.account_id,
        parts.scope,
        parts.part,
        dates.iso_weekday,
        {{ days_between('dates.date_day', 'parts.today') }} as days_ago,
        coalesce(part_days.credits, 0) as credits
    from parts
    inner join dates
        on
            parts.today > dates.date_day
            and parts.first_date <= dates.date_day
            and dates.date_day >= {{ add_days('parts.today', '-' ~ 7 * weeks) }}
    left join part_days
        on
            parts.account_id = part_days.account_id
            and parts.scope = part_days.scope
            and parts.part = part_days.part
            and dates.date_day = part_days.usage_date

),

spans as (

    select
        account_id,
        scope,
        part,
        iso_weekday,
        percentile_cont(0.5) within group (
            order by
                case
                    when days_ago <= {{ 7 * var('projection_recent_weeks') | int }}
                        then cast(credits as double)
                end
        ) as recent_median,
        sum(credits) as total,
        max(credits) as highest,
        min(credits) as lowest,
        sum(case when credits = 0 then 1 else 0 end) as idle_days,
        count(*) as days
    from days
    group by
        account_id,
        scope,
        part,
        iso_weekday

),

levels as (

    select
        account_id,
        scope,
        part,
        iso_weekday,
        {{ projected_level('recent_median', 'total', 'highest', 'lowest', 'idle_days', 'days') }} as level_credits
    from spans

),

-- A mean deviation of days from levels that were taken from the same days: hence fewer degrees of
-- freedom than days.
deviations as (

    select
        days.account_id,
        days.scope,
        days.part,
        cast(sum(days.credits) as double) / count(*) as mean_credits,
        cast(sum(abs(days.credits - levels.level_credits)) as double) / greatest(count(*) - 7, 1)
            as deviation_credits
    from days
    inner join levels
        on
            days.account_id = levels.account_id
            and days.scope = levels.scope
            and days.part = levels.part
            and days.iso_weekday = levels.iso_weekday
    group by
        days.account_id,
        days.scope,
        days.part

),

weekdays as (

    {% for weekday in range(1, 8) %}
        select {{ weekday }} as iso_weekday{{ ' union all' if not loop.last }}
    {% endfor %}

),

-- A weekday that a new part has not had yet is like its other days, and those are like today as long
-- as there are none.
final as (

    select
        parts.account_id,
        parts.scope,
        parts.part,
        weekdays.iso_weekday,
        parts.today,
        greatest(cast({{ days_between('parts.first_date', 'parts.today') }} as integer), 0) as history_days,
        cast(coalesce(todays.credits, 0) as decimal(38, 9)) as today_credits,
        coalesce(deviations.deviation_credits, 0.0) as deviation_credits,
        cast(
            coalesce(levels.level_credits, deviations.mean_credits, todays.credits, 0)
            as decimal(38, 9)
        ) as level_credits
    from parts
    cross join weekdays
    left join levels
        on
            parts.account_id = levels.account_id
            and parts.scope = levels.scope
            and parts.part = levels.part
            and weekdays.iso_weekday = levels.iso_weekday
    left join deviations
        on
            parts.account_id = deviations.account_id
            and parts.scope = deviations.scope
            and parts.part = deviations.part
    left join part_days as todays
        on
            parts.account_id = todays.account_id
            and parts.scope = todays.scope
            and parts.part = todays.part
            and parts.today = todays.usage_date

)

select * from final
