-- Grain: one row a UTC day that this run rebuilds: days of new, corrected, withdrawn or moved
-- events, days that a change of zone, rate or price alters, and the days asked for.

-- noqa: disable=ST03
-- (what is selected from depends on what changed)

{%- set published = published_load_id() %}
{%- set kinds = changes_found() %}
{%- set from_day, to_day = asked_for('from_day'), asked_for('to_day') %}

with

events as (

    select * from {{ ref('stg_raw__usage_events') }}

),

supersessions as (

    select * from {{ ref('stg_raw__usage_supersessions') }}

),

changes as (

    select * from {{ ref('int_usage_changes_found') }}

),

rates as (

    select * from {{ ref('stg_raw__rates') }}

),

first_rates as (

    select
        category,
        model,
        min(effective_from) as starts_at
    from rates
    where load_id <= {{ published }}
    group by
        category,
        model

),

-- Read once, and without joins on most days: what is asked for below depends on what changed.
event_days as (

    select events.usage_date_utc
    from events
    {% if 'time_zone' in kinds %}
        left join changes as zone_changes
            on
                events.account_id = zone_changes.account_id
                and events.usage_date_utc >= zone_changes.from_day
                and zone_changes.kind = 'time_zone'
    {% endif %}
    {% if 'rate' in kinds %}
        left join changes as rate_changes
            on
                events.category = rate_changes.category
                and events.usage_date_utc >= rate_changes.from_day
                and (rate_changes.model is null or events.model = rate_changes.model)
                and rate_changes.kind = 'rate'
    {% endif %}
    {% if 'exposure' in kinds %}
        left join changes as exposure_changes
            on
                events.category = exposure_changes.category
                and exposure_changes.kind = 'exposure'
        left join first_rates as own_rates
            on
                events.category = own_rates.category
                and events.model = own_rates.model
        left join first_rates as general_rates
            on
                events.category = general_rates.category
                and general_rates.model is null
    {% endif %}
    {% if 'provider_cost' in kinds %}
        left join changes as cost_changes
            on
                events.model = cost_changes.model
                and events.usage_date_utc >= cost_changes.from_day
                and cost_changes.kind = 'provider_cost'
    {% endif %}
    where
        {% if is_rebuilding_everything() or published == 0 %}
            1 = 1
        {% else %}
            events.load_id > {{ published }}
            {% if from_day or to_day %}
                or (
                    events.usage_date_utc >= date '{{ from_day or "0001-01-01" }}'
                    and events.usage_date_utc < date '{{ to_day or "9999-12-31" }}'
                )
            {% endif %}
            {% if 'time_zone' in kinds %}
                or zone_changes.kind is not null
            {% endif %}
            {% if 'rate' in kinds %}
                or rate_changes.kind is not null
            {% endif %}
            {% if 'exposure' in kinds %}
                -- Usage that nothing priced so far: its exposure follows the rates of its category.
                or (
                    exposure_changes.kind is not null
                    and events.logged_credits is null
                    and events.status = 'ok'
                    and (
                        events.execution_ms is null
                        or not {{ has_tokens('events') }}
                        or events.occurred_at < least(
                            coalesce(own_rates.starts_at, timestamp '9999-12-31 00:00:00'),
                            coalesce(general_rates.starts_at, timestamp '9999-12-31 00:00:00')
                        )
                    )
                )
            {% endif %}
            {% if 'provider_cost' in kinds %}
                or cost_changes.kind is not null
            {% endif %}
        {% endif %}

),

-- Where corrected, withdrawn and moved events lay before.
left_days as (

    select usage_date_utc
    from supersessions
    where load_id > {{ published }}

),

days as (

    select usage_date_utc from event_days

    union all

    select usage_date_utc from left_days

),

touched as (

    select distinct usage_date_utc
    from days

)

select * from touched
