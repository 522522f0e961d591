-- Grain: one row, the UTC days that advice is made from and the newest batch that changed a price.

with

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

rates as (

    select * from {{ ref('stg_raw__rates') }}

),

model_prices as (

    select * from {{ ref('stg_raw__model_prices') }}

),

model_matches as (

    select * from {{ ref('stg_raw__model_matches') }}

),

price_loads as (

    select max(load_id) as load_id from rates

    union all

    select max(load_id) as load_id from model_prices

    union all

    select max(load_id) as load_id from model_matches

),

priced as (

    select coalesce(max(load_id), 0) as prices_load_id
    from price_loads

),

bounded as (

    select
        {{ add_days('cast(bounds.as_of as date)', '-' ~ var('advice_days')) }} as window_from,
        cast(bounds.as_of as date) as window_until,
        priced.prices_load_id
    from bounds
    cross join priced

)

select * from bounded
