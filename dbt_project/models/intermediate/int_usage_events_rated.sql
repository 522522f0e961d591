-- Grain: one row a current event of the touched days, with its credits: logged ones win, else the
-- rate card of the event's time, else it is held as unrated with the range it may cost.

{{ config(materialized='ephemeral') }}

with

events as (

    select * from {{ ref('int_usage_events_dated') }}

),

rate_cards as (

    select * from {{ ref('int_rate_cards_dated') }}

),

rate_ranges as (

    select * from {{ ref('int_rate_ranges_found') }}

),

model_cards as (

    select * from rate_cards
    where model is not null

),

category_cards as (

    select * from rate_cards
    where model is null

),

-- A card of the model itself is never mixed with the one of its category.
priced as (

    select
        events.*,
        case
            when model_cards.category is not null then {{ measured_credits('events', 'model_cards') }}
            else {{ measured_credits('events', 'category_cards') }}
        end as carded_credits,
        coalesce({{ card_credits('events', 'rate_ranges', 'low_') }}, 0) as low_credits,
        {{ measured_credits('events', 'rate_ranges', 'high_') }} as high_credits
    from events
    left join model_cards
        on
            events.category = model_cards.category
            and events.model = model_cards.model
            and events.occurred_at >= model_cards.starts_at
            and events.occurred_at < model_cards.ends_at
    left join category_cards
        on
            events.category = category_cards.category
            and events.occurred_at >= category_cards.starts_at
            and events.occurred_at < category_cards.ends_at
    left join rate_ranges
        on events.category = rate_ranges.category

),

-- Failed and cancelled operations cost what the log says, else nothing; no card is asked.
judged as (

    select
        priced.*,
        case when status = 'ok' then carded_credits end as card_credits,
        case
            when logged_credits is not null then 'logged'
            when status <> 'ok' then 'failed'
            when carded_credits is not null then 'rated'
            else 'unrated'
        end as rating_status
    from priced

),

rated as (

    select
        judged.*,
        case rating_status
            when 'logged' then logged_credits
            when 'failed' then cast(0 as decimal(18, 9))
            when 'rated' then card_credits
        end as credits,
        case when rating_status = 'unrated' then low_credits end as exposure_low_credits,
        case when rating_status = 'unrated' then high_credits end as exposure_high_credits
    from judged

)

select * from rated
