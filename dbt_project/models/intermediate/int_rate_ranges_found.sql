-- Grain: one row a category with rates: the lowest and the highest rate of each unit on any card.

with

rate_cards as (

    select * from {{ ref('int_rate_cards_dated') }}

),

found as (

    select
        category,
        min(coalesce(call_credits, 0)) as low_call_credits,
        max(coalesce(call_credits, 0)) as high_call_credits,
        min(coalesce(second_credits, 0)) as low_second_credits,
        max(coalesce(second_credits, 0)) as high_second_credits,
        min(coalesce(input_token_credits, 0)) as low_input_token_credits,
        max(coalesce(input_token_credits, 0)) as high_input_token_credits,
        min(coalesce(cache_read_token_credits, 0)) as low_cache_read_token_credits,
        max(coalesce(cache_read_token_credits, 0)) as high_cache_read_token_credits,
        min(coalesce(cache_write_token_credits, 0)) as low_cache_write_token_credits,
        max(coalesce(cache_write_token_credits, 0)) as high_cache_write_token_credits,
        min(coalesce(output_token_credits, 0)) as low_output_token_credits,
        max(coalesce(output_token_credits, 0)) as high_output_token_credits
    from rate_cards
    group by category

)

select * from found
