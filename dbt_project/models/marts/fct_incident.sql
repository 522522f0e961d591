-- Grain: one row an incident: days of an account, with few between, on which something was unusual.

with

incident_days as (

    select * from {{ ref('fct_incident_day') }}

),

expected_days as (

    select * from {{ ref('int_usage_days_expected') }}

),

stepped as (

    select
        incident_days.*,
        lag(usage_date) over (partition by account_id order by usage_date) as usage_date_before
    from incident_days

),

numbered as (

    select
        stepped.*,
        sum(
            case
                when {{ days_between('usage_date_before', 'usage_date') }} <= {{ var('spike_join_days') }} then 0
                else 1
            end
        ) over (
            partition by account_id
            order by usage_date
            rows between unbounded preceding and current row
        ) as incident_number
    from stepped

),

ranked as (

    select
        numbered.*,
        row_number() over (
            partition by account_id, incident_number
            order by excess_credits desc, usage_date asc
        ) as peak_rank
    from numbered

),

-- What drove the day with the greatest excess names the incident.
grouped as (

    select
        ranked.account_id,
        min(ranked.usage_date) as first_date,
        max(ranked.usage_date) as last_date,
        count(*) as days,
        min(case when ranked.is_expected then 1 else 0 end) = 1 as is_expected,
        max(expected_days.reason) as expected_reason,
        max(ranked.severity) as severity,
        sum(ranked.credits) as credits,
        sum(ranked.expected_credits) as expected_credits,
        sum(ranked.excess_credits) as excess_credits,
        sum(ranked.volume_credits) as volume_credits,
        sum(ranked.size_credits) as size_credits,
        sum(ranked.price_credits) as price_credits,
        sum(ranked.mix_credits) as mix_credits,
        sum(ranked.new_agent_credits) as new_agent_credits,
        sum(ranked.error_credits) as error_credits,
        max(case when ranked.peak_rank = 1 then ranked.scope end) as scope,
        max(case when ranked.peak_rank = 1 then ranked.scope_id end) as scope_id,
        max(case when ranked.peak_rank = 1 then ranked.excess_credits end) as peak_excess_credits,
        max(case when ranked.peak_rank = 1 then ranked.agent_id end) as agent_id,
        max(case when ranked.peak_rank = 1 then ranked.agent_excess_credits end) as agent_excess_credits,
        max(case when ranked.peak_rank = 1 then ranked.model end) as model,
        max(case when ranked.peak_rank = 1 then ranked.model_excess_credits end) as model_excess_credits,
        max(case when ranked.peak_rank = 1 then ranked.category end) as category,
        max(case when ranked.peak_rank = 1 then ranked.category_excess_credits end) as category_excess_credits
    from ranked
    left join expected_days
        on
            ranked.account_id = expected_days.account_id
            and ranked.usage_date = expected_days.usage_date
    group by
        ranked.account_id,
        ranked.incident_number

),

caused as (

    select
        grouped.*,
        case greatest(
            volume_credits, size_credits, price_credits, mix_credits, new_agent_credits, error_credits
        )
            when new_agent_credits then 'new_agent'
            when error_credits then 'errors'
            when price_credits then 'price'
            when mix_credits then 'mix'
            when size_credits then 'size'
            else 'volume'
        end as cause,
        agent_excess_credits >= 0.5 * peak_excess_credits as is_by_agent,
        model_excess_credits >= 0.5 * peak_excess_credits as is_by_model,
        category_excess_credits >= 0.5 * peak_excess_credits as is_by_category
    from grouped

),

-- A price or a switch is a model's matter first, everything else an agent's.
named as (

    select
        caused.*,
        case
            when cause in ('price', 'mix') and is_by_model then 'model'
            when is_by_agent then 'agent'
            when is_by_model then 'model'
            when is_by_category then 'category'
            else 'account'
        end as driver
    from caused

),

incidents as (

    select
        account_id,
        first_date,
        last_date,
        cast(days as bigint) as days,
        is_expected,
        case when is_expected then expected_reason end as expected_reason,
        cause,
        scope,
        scope_id,
        driver,
        case driver
            when 'agent' then agent_id
            when 'model' then model
            when 'category' then category
            else account_id
        end as driver_id,
        cast(severity as decimal(18, 2)) as severity,
        cast(credits as decimal(38, 9)) as credits,
        cast(expected_credits as decimal(38, 9)) as expected_credits,
        cast(excess_credits as decimal(38, 9)) as excess_credits,
        cast(volume_credits as decimal(38, 9)) as volume_credits,
        cast(size_credits as decimal(38, 9)) as size_credits,
        cast(price_credits as decimal(38, 9)) as price_credits,
        cast(mix_credits as decimal(38, 9)) as mix_credits,
        cast(new_agent_credits as decimal(38, 9)) as new_agent_credits,
        cast(error_credits as decimal(38, 9)) as error_credits
    from named

)

select * from incidents
