-- Grain: one row a term of an account that counts, with the instants between which it holds.

with

account_terms as (

    select * from {{ ref('stg_raw__account_terms') }}

),

ranked as (

    select
        account_terms.*,
        row_number() over (
            partition by account_terms.account_id, account_terms.effective_from
            order by account_terms.term_id desc
        ) as term_rank
    from account_terms

),

chained as (

    select
        ranked.*,
        lag(ranked.time_zone) over (
            partition by ranked.account_id order by ranked.effective_from
        ) as time_zone_before
    from ranked
    where ranked.term_rank = 1

),

-- A month starts where the one before ended: in the zone of the term before.
started as (

    select
        chained.*,
        case
            when chained.time_zone_before is null then timestamp '0001-01-01 00:00:00'
            else {{ local_day_start('chained.effective_from', 'chained.time_zone_before') }}
        end as starts_at,
        case
            when chained.time_zone_before is null then date '0001-01-01'
            else chained.effective_from
        end as first_usage_date
    from chained

),

dated as (

    select
        account_id,
        term_id,
        effective_from,
        name,
        time_zone,
        currency,
        email,
        plan,
        overage_price,
        first_usage_date,
        starts_at,
        coalesce(
            lead(starts_at) over (partition by account_id order by effective_from),
            timestamp '9999-12-31 00:00:00'
        ) as ends_at
    from started

)

select * from dated
