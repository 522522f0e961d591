-- Grain: one row an account, a month in its time zone and a model with usage.

with

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

models as (

    select * from {{ ref('dim_model') }}

),

summed as (

    select
        account_id,
        month,
        model,
        cast(sum(credits) as decimal(38, 9)) as credits,
        cast(sum(events) as bigint) as events,
        cast(sum(unrated_events) as bigint) as unrated_events,
        cast(sum(total_tokens) as bigint) as total_tokens,
        cast(sum(provider_cost_usd) as decimal(38, 12)) as provider_cost_usd
    from months
    group by
        account_id,
        month,
        model

),

shared as (

    select
        summed.account_id,
        summed.month,
        summed.model,
        coalesce(models.model_name, summed.model) as model_name,
        models.provider,
        coalesce(models.is_priced, false) as is_priced,
        summed.credits,
        {{ ratio(
            'summed.credits',
            'sum(summed.credits) over (partition by summed.account_id, summed.month)',
            9, 6
        ) }} as share,
        summed.events,
        summed.unrated_events,
        summed.total_tokens,
        summed.provider_cost_usd,
        case
            when summed.total_tokens > 0
                then {{ ratio('summed.credits * 1000000', 'summed.total_tokens', 38, 9) }}
        end as credits_per_mtok
    from summed
    left join models
        on summed.model = models.model

)

select * from shared
