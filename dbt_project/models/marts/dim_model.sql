-- Grain: one row a model name that has usage; '(none)' where the log names no model.

with

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

matched as (

    select * from {{ ref('int_models_matched') }}

),

prices as (

    select distinct
        provider,
        price_model
    from {{ ref('int_model_prices_dated') }}

),

used as (

    select
        model,
        min(first_occurred_at) as first_used_at,
        max(last_occurred_at) as last_used_at
    from months
    group by model

),

models as (

    select
        used.model,
        matched.provider,
        matched.price_model,
        coalesce(matched.model_name, used.model) as model_name,
        prices.price_model is not null as is_priced,
        used.first_used_at,
        used.last_used_at
    from used
    left join matched
        on used.model = matched.model
    left join prices
        on
            matched.provider = prices.provider
            and matched.price_model = prices.price_model

)

select * from models
