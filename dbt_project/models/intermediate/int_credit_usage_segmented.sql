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

-- Days and the starts of segments in one order: a day lies in the segment that began last, and a
-- segment may begin in the day that began last.
timeline as (

    select
        account_id,
        first_occurred_at as happens_at,
        1 as is_day,
        usage_date,
        cast(null as bigint) as segment,
        credits,
        last_occurred_at,
        cast(null as timestamp) as ends_at
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
        segment,
        cast(null as decimal(38, 9)) as credits,
        cast(null as timestamp) as last_occurred_at,
        ends_at
    from segments

),

placed as (

    select
        account_id,
        happens_at,
        is_day,
        max(usage_date) over (
            partition by account_id
            order by happens_at, is_day
            rows between unbounded preceding and current row
        ) as usage_date,
        max(segment) over (
            partition by account_id
            order by happens_at, is_day
            rows between unbounded preceding and current row
        ) as segment,
        credits,
        last_occurred_at,
        ends_at,
        lead(is_day) over (partition by account_id order by happens_at, is_day) as next_is_day,
        lead(happens_at) over (partition by account_id order by happens_at, is_day) as next_at
    from timeline

),

marked as (

    select
        placed.*,
        coalesce(next_is_day = 0 and next_at <= last_occurred_at, false) as is_cut
    from placed

),

-- Spans of time that may hold a part of a day that is cut: up to its first border, and from each
-- border on. Those that begin after its last event hold nothing of it.
spans as (

    select
        account_id,
        usage_date,
        segment,
        happens_at as starts_at,
        case when is_day = 1 then next_at else ends_at end as ends_at
    from marked
    where
        is_cut
        or (is_day = 0 and usage_date is not null)

),

cut_usage as (

    select
        spans.account_id,
        spans.usage_date,
        spans.segment,
        sum(usage.credits) as credits,
        min(usage.occurred_at) as first_occurred_at,
        max(usage.occurred_at) as last_occurred_at
    from usage
    inner join spans
        on
            usage.account_id = spans.account_id
            and usage.usage_date = spans.usage_date
            and usage.occurred_at >= spans.starts_at
            and usage.occurred_at < spans.ends_at
    where
        {{ is_touched_account('usage.account_id') }}
        and {{ is_cut_day('usage.usage_date_utc') }}
        and usage.credits > 0
    group by
        spans.account_id,
        spans.usage_date,
        spans.segment

),

segmented as (

    select
        account_id,
        usage_date,
        cast(segment as bigint) as segment,
        cast(credits as decimal(38, 9)) as credits,
        happens_at as first_occurred_at,
        last_occurred_at
    from marked
    where is_day = 1 and not is_cut

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
