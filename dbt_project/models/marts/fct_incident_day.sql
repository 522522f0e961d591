-- Grain: one row an account and a day with an anomaly: where it was, and what its excess came from. The
-- parts add up to the excess, to the last digit.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_spike_months',
        on_schema_change='fail',
        partitioned_by='month',
        sorted_by='account_id',
    )
}}

with

anomalies as (

    select * from {{ ref('fct_usage_anomaly') }}
    where {{ is_spike_month('month') }}

),

log_days as (

    select * from {{ ref('fct_usage_log_daily') }}
    where {{ is_month_for_spikes('month') }}

),

agents as (

    select * from {{ ref('dim_agent') }}

),

-- The account's own anomaly goes before those of its parts; of these the one that is most above.
ranked as (

    select
        anomalies.*,
        row_number() over (
            partition by account_id, usage_date
            order by
                case when scope = 'account' then 0 else 1 end asc,
                credits - expected_credits desc,
                case scope when 'agent' then 0 when 'model' then 1 else 2 end asc,
                scope_id asc
        ) as anomaly_rank
    from anomalies

),

days as (

    select *
    from ranked
    where anomaly_rank = 1

),

-- Usage of the day, and of the same weekday in the weeks that it is compared with.
cells as (

    select
        days.account_id,
        days.usage_date,
        log_days.agent_id,
        log_days.category,
        log_days.model,
        case when log_days.usage_date = days.usage_date then 1 else 0 end as is_day,
        case when log_days.status = 'ok' then 1 else 0 end as is_ok,
        cast(log_days.events - log_days.unrated_events as double) as events,
        cast(log_days.credits as double) as credits,
        cast(log_days.total_tokens as double) as tokens,
        cast(log_days.execution_ms as double) as execution_ms
    from days
    inner join log_days
        on
            days.account_id = log_days.account_id
            and days.usage_date >= log_days.usage_date
            and days.first_week <= log_days.usage_date
            and {{ iso_weekday('days.usage_date') }} = {{ iso_weekday('log_days.usage_date') }}
            and case days.scope
                when 'agent' then log_days.agent_id
                when 'model' then log_days.model
                when 'category' then log_days.category
                else log_days.account_id
            end = days.scope_id

),

-- The weeks before are scaled so that they sum up to what was expected of the day.
scales as (

    select
        days.account_id,
        days.usage_date,
        coalesce(
            cast(max(days.expected_credits) as double)
            / nullif({{ steady_sum('case when cells.is_day = 0 then cells.credits end') }}, 0),
            0
        ) as scale
    from days
    inner join cells
        on
            days.account_id = cells.account_id
            and days.usage_date = cells.usage_date
    group by
        days.account_id,
        days.usage_date

),

-- One row an agent, a category and a model. `old_` is of the weeks before, scaled; without it of the day.
uses as (

    select
        cells.account_id,
        cells.usage_date,
        cells.agent_id,
        cells.category,
        cells.model,
        max(scales.scale) as scale,
        sum(cells.is_day * cells.is_ok * cells.events) as calls,
        {{ steady_sum('cells.is_day * cells.is_ok * cells.credits') }} as credits,
        sum(cells.is_day * cells.is_ok * coalesce(cells.tokens, 0)) as tokens,
        sum(cells.is_day * cells.is_ok * coalesce(cells.execution_ms, 0)) as execution_ms,
        sum(cells.is_day * (1 - cells.is_ok) * cells.events) as failures,
        {{ steady_sum('cells.is_day * (1 - cells.is_ok) * cells.credits') }} as failed_credits,
        sum((1 - cells.is_day) * cells.is_ok * cells.events) as seen_calls,
        {{ steady_sum('(1 - cells.is_day) * cells.is_ok * cells.credits') }} as seen_credits,
        sum((1 - cells.is_day) * cells.is_ok * coalesce(cells.tokens, 0)) as seen_tokens,
        sum((1 - cells.is_day) * cells.is_ok * coalesce(cells.execution_ms, 0)) as seen_ms,
        sum((1 - cells.is_day) * (1 - cells.is_ok) * cells.events) as seen_failures,
        {{ steady_sum('(1 - cells.is_day) * (1 - cells.is_ok) * cells.credits') }} as seen_failed_credits
    from cells
    inner join scales
        on
            cells.account_id = scales.account_id
            and cells.usage_date = scales.usage_date
    group by
        cells.account_id,
        cells.usage_date,
        cells.agent_id,
        cells.category,
        cells.model

),

-- What a call costs now and cost before; a model that was not used before cost what it costs now. Of
-- the change as much is size as calls have more tokens (or last longer, without any), at most all.
priced as (

    select
        uses.*,
        coalesce(credits / nullif(calls, 0), 0) as price,
        coalesce(seen_credits / nullif(seen_calls, 0), credits / nullif(calls, 0), 0) as old_price,
        coalesce(
            case
                when tokens > 0 and seen_tokens > 0
                    then (tokens / nullif(calls, 0)) / nullif(seen_tokens / nullif(seen_calls, 0), 0)
                when execution_ms > 0 and seen_ms > 0 and tokens = 0 and seen_tokens = 0
                    then (execution_ms / nullif(calls, 0)) / nullif(seen_ms / nullif(seen_calls, 0), 0)
            end,
            1
        ) as growth
    from uses

),

sized as (

    select
        priced.*,
        greatest(
            least(old_price * (growth - 1), greatest(price - old_price, 0)),
            least(price - old_price, 0)
        ) as size_change
    from priced

),

agent_days as (

    select
        account_id,
        usage_date,
        agent_id,
        max(scale) as scale,
        sum(calls) as calls,
        {{ steady_sum('credits') }} as credits,
        sum(failures) as failures,
        {{ steady_sum('failed_credits') }} as failed_credits,
        {{ steady_sum('scale * seen_calls') }} as old_calls,
        {{ steady_sum('scale * seen_credits') }} as old_credits,
        {{ steady_sum('scale * seen_failures') }} as old_failures,
        {{ steady_sum('scale * seen_failed_credits') }} as old_failed_credits,
        sum(seen_failures) / nullif(sum(seen_calls + seen_failures), 0) as usual_failure_rate,
        -- without usage on this weekday before, at today's price
        coalesce(
            {{ steady_sum('seen_credits') }} / nullif(sum(seen_calls), 0),
            {{ steady_sum('credits') }} / nullif(sum(calls), 0),
            0
        ) as old_price,
        sum(seen_calls) > 0 as has_old_price,
        {{ steady_sum('calls * old_price') }} as calls_at_old_prices,
        {{ steady_sum('calls * size_change') }} as size_credits,
        {{ steady_sum('calls * (price - old_price - size_change)') }} as price_credits
    from sized
    group by
        account_id,
        usage_date,
        agent_id

),

-- Failures above the agent's usual rate; as many of the further calls were made to repeat them.
judged as (

    select
        agent_days.*,
        agents.first_used_at
        > cast({{ add_days('agent_days.usage_date', '-1 * ' ~ var('spike_new_agent_days')) }} as timestamp) as is_new,
        agent_days.credits + agent_days.failed_credits as day_credits,
        agent_days.old_credits + agent_days.old_failed_credits as day_old_credits,
        greatest(
            agent_days.failures
            - coalesce(agent_days.usual_failure_rate, 0) * (agent_days.calls + agent_days.failures),
            0
        ) as further_failures
    from agent_days
    inner join agents
        on
            agent_days.account_id = agents.account_id
            and agent_days.agent_id = agents.agent_id

),

agent_parts as (

    select
        account_id,
        usage_date,
        agent_id,
        day_credits - day_old_credits as excess,
        case when is_new then day_credits - day_old_credits else 0 end as new_credits,
        case when day_credits = 0 then day_old_credits else 0 end as gone_credits,
        case
            when is_new then 0
            else
                coalesce(further_failures * failed_credits / nullif(failures, 0), 0)
                + least(further_failures, greatest(calls - old_calls, 0)) * old_price
        end as error_credits,
        case when is_new then 0 else size_credits end as size_credits,
        case when is_new then 0 else price_credits end as price_credits,
        case when is_new or not has_old_price then 0 else calls_at_old_prices - calls * old_price end as mix_credits
    from judged

),

-- A new agent that takes the place of another, or its name, is new only in what it uses more.
parts as (

    select
        account_id,
        usage_date,
        {{ rounded_credits(
            steady_sum('new_credits')
            ~ ' - least(greatest(' ~ steady_sum('new_credits') ~ ', 0), ' ~ steady_sum('gone_credits') ~ ')'
        ) }}
            as new_agent_credits,
        {{ rounded_credits(steady_sum('error_credits')) }} as error_credits,
        {{ rounded_credits(steady_sum('size_credits')) }} as size_credits,
        {{ rounded_credits(steady_sum('price_credits')) }} as price_credits,
        {{ rounded_credits(steady_sum('mix_credits')) }} as mix_credits
    from agent_parts
    group by
        account_id,
        usage_date

),

candidates as (

    select
        account_id,
        usage_date,
        case
            when grouping(agent_id) = 0 then 'agent'
            when grouping(model) = 0 then 'model'
            else 'category'
        end as kind,
        coalesce(agent_id, model, category) as driver_id,
        {{ steady_sum('credits + failed_credits - scale * (seen_credits + seen_failed_credits)') }} as excess
    from uses
    group by grouping sets (
        (account_id, usage_date, agent_id),
        (account_id, usage_date, model),
        (account_id, usage_date, category)
    )

),

compared as (

    select
        candidates.*,
        row_number() over (
            partition by account_id, usage_date, kind
            order by excess desc, driver_id asc
        ) as driver_rank
    from candidates

),

-- Of each kind the one that is most above what was used of it before.
drivers as (

    select
        account_id,
        usage_date,
        max(case when kind = 'agent' then driver_id end) as agent_id,
        max(case when kind = 'agent' then excess end) as agent_excess,
        max(case when kind = 'model' then driver_id end) as model,
        max(case when kind = 'model' then excess end) as model_excess,
        max(case when kind = 'category' then driver_id end) as category,
        max(case when kind = 'category' then excess end) as category_excess
    from compared
    where driver_rank = 1
    group by
        account_id,
        usage_date

),

explained as (

    select
        days.account_id,
        days.month,
        days.usage_date,
        days.scope,
        days.scope_id,
        days.is_expected,
        days.severity,
        days.credits,
        days.expected_credits,
        cast(days.credits - days.expected_credits as decimal(38, 9)) as excess_credits,
        cast(
            days.credits - days.expected_credits - parts.new_agent_credits - parts.error_credits
            - parts.size_credits - parts.price_credits - parts.mix_credits as decimal(38, 9)
        ) as volume_credits,
        parts.size_credits,
        parts.price_credits,
        parts.mix_credits,
        parts.new_agent_credits,
        parts.error_credits,
        drivers.agent_id,
        {{ rounded_credits('drivers.agent_excess') }} as agent_excess_credits,
        drivers.model,
        {{ rounded_credits('drivers.model_excess') }} as model_excess_credits,
        drivers.category,
        {{ rounded_credits('drivers.category_excess') }} as category_excess_credits
    from days
    inner join parts
        on
            days.account_id = parts.account_id
            and days.usage_date = parts.usage_date
    inner join drivers
        on
            days.account_id = drivers.account_id
            and days.usage_date = drivers.usage_date

)

select * from explained
