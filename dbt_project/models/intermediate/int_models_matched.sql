-- Grain: one row a model name seen in a log: what the price list calls it, null if it does not
-- know it.

with

model_matches as (

    select * from {{ ref('stg_raw__model_matches') }}

),

-- The latest release that knows the name counts; without one, any row tells that it is unknown.
ranked as (

    select
        model_matches.*,
        row_number() over (
            partition by model_matches.model
            order by
                case when model_matches.price_model is null then 1 else 0 end,
                model_matches.recorded_at desc,
                model_matches.load_id desc,
                model_matches.release desc
        ) as match_rank
    from model_matches

),

matched as (

    select
        model,
        provider,
        price_model,
        model_name
    from ranked
    where match_rank = 1

)

select * from matched
