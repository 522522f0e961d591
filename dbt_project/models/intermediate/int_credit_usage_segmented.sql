-- Grain: one row an account, a day of it and a segment in which it used credits. Days within one
-- segment come from their sums, only those with a border in them from their events.

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_accounts',
        on_schema_change='fail',
        sorted_by='account_id',
    )
}}

with

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

segments as (

    select * from {{ ref('int_credit_segments_cut') }}

),

usage as (

    select * from {{ ref('fct_usage') }}

),

-- Days and the starts of segments in one order: a day lies in the segment that began last.
timeline as (

    select
        account_id,
        first_occurred_at as happens_at,
        1 as is_day,
        usage_date,
        credits,
        first_occurred_at,
        last_occurred_at
    from account_days
    where
        {{ is_touched_account('account_id') }}
        and credits > 0

    union all

    select
        account_id,
        starts_at as happens_at,
        0 as is_day,
        cast(null as date) as usage_date,
        cast(null as decimal(38, 9)) as credits,
        cast(null as timestamp) as first_occurred_at,
        cast(null as timestamp) as last_occurred_at
    from segments

),

numbered as (

    select
        timeline.*,
        sum(1 - is_day) over (
            partition by account_id
            order by happens_at, is_day
            rows between unbounded preceding and current row
        ) - 1 as segment
    from timeline

),

days as (

    select
        numbered.account_id,
        numbered.usage_date,
        numbered.segment,
        numbered.credits,
        numbered.first_occurred_at,
        numbered.last_occurred_at,
        numbered.last_occurred_at >= segments.ends_at as is_cut
    from numbered
    inner join segments
        on
            numbered.account_id = segments.account_id
            and numbered.segment = segments.segment
    where numbered.is_day = 1

),

cut_days as (

    select
        days.account_id,
        days.usage_date,
        segments.segment,
        segments.starts_at,
        segments.ends_at
    from days
    inner join segments
        on
            days.account_id = segments.account_id
            and days.segment <= segments.segment
            and days.last_occurred_at >= segments.starts_at
    where days.is_cut

),

cut_usage as (

    select
        cut_days.account_id,
        cut_days.usage_date,
        cut_days.segment,
        sum(usage.credits) as credits,
        min(usage.occurred_at) as first_occurred_at,
        max(usage.occurred_at) as last_occurred_at
    from usage
    inner join cut_days
        on
            usage.account_id = cut_days.account_id
            and usage.usage_date = cut_days.usage_date
            and usage.occurred_at >= cut_days.starts_at
            and usage.occurred_at < cut_days.ends_at
    where
        {{ is_touched_account('usage.account_id') }}
        and {{ is_cut_day('usage.usage_date_utc') }}
        and usage.credits > 0
    group by
        cut_days.account_id,
        cut_days.usage_date,
        cut_days.segment

),

segmented as (

    select
        account_id,
        usage_date,
        cast(segment as bigint) as segment,
        cast(credits as decimal(38, 9)) as credits,
        first_occurred_at,
        last_occurred_at
    from days
    where not is_cut

    union all

    select
        account_id,
        usage_date,
        cast(segment as bigint) as segment,
        cast(credits as decimal(38, 9)) as credits,
        first_occurred_at,
        last_occurred_at
    from cut_usage

)

select * from segmented
