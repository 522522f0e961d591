-- Grain: one row a current event of the touched days, with the day it counts to in the account's
-- time zone.

{{ config(materialized='ephemeral') }}

with

events as (

    select * from {{ ref('int_usage_events_resolved') }}

),

account_terms as (

    select * from {{ ref('int_account_terms_dated') }}

),

zone_days as (

    select * from {{ ref('int_zone_days_cut') }}

),

-- A month that starts later than the local clock says (the zone changed) keeps its first day.
dated as (

    select
        events.*,
        greatest(
            case
                when events.occurred_at >= zone_days.cut_at then zone_days.last_date
                else zone_days.first_date
            end,
            coalesce(account_terms.first_usage_date, date '0001-01-01')
        ) as usage_date
    from events
    left join account_terms
        on
            events.account_id = account_terms.account_id
            and events.occurred_at >= account_terms.starts_at
            and events.occurred_at < account_terms.ends_at
    left join zone_days
        on
            events.usage_date_utc = zone_days.usage_date_utc
            and coalesce(account_terms.time_zone, 'UTC') = zone_days.time_zone

)

select * from dated
