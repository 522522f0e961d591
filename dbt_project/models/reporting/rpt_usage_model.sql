-- Grain: one row a model name that has usage; '(none)' where the log names no model.

with

models as (

    select * from {{ ref('dim_model') }}

),

final as (

    select
        model,
        model_name,
        provider
    from models

)

select * from final
