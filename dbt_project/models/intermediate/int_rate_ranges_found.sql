-- Grain: one row a category with rates: the lowest and the highest rate of each unit on any card.

with

rate_cards as (

    select * from {{ ref('int_rate_cards_dated') }}

),

found as (

    select
        category,
        {% for unit in ['call', 'second', 'input_token', 'cache_read_token', 'cache_write_token', 'output_token'] %}
            min(coalesce({{ unit }}_credits, 0)) as low_{{ unit }}_credits,
            max(coalesce({{ unit }}_credits, 0)) as high_{{ unit }}_credits{{ ',' if not loop.last }}
        {% endfor %}
    from rate_cards
    group by category

)

select * from found
