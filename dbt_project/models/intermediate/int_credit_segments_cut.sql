-- Grain: one row a touched account and a segment: a span of time within which none of its lots
-- begins or ends.

with

touched as (

    select * from {{ ref('int_credit_accounts_touched') }}

),

lots as (

    select * from {{ ref('int_credit_lots_ordered') }}

),

borders as (

    select
        account_id,
        timestamp '0001-01-01 00:00:00' as starts_at
    from touched

    union distinct

    select
        account_id,
        effective_at as starts_at
    from lots
    where is_begun

    union distinct

    select
        account_id,
        ends_at as starts_at
    from lots
    where is_begun and is_ended

),

segments as (

    select
        account_id,
        row_number() over (partition by account_id order by starts_at) - 1 as segment,
        starts_at,
        coalesce(
            lead(starts_at) over (partition by account_id order by starts_at),
            timestamp '9999-12-31 00:00:00'
        ) as ends_at
    from borders

)

select * from segments
