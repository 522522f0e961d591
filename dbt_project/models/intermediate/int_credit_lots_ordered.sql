-- Grain: one row a lot of a touched account, with its end and its place in the burn order.

with

touched as (

    select * from {{ ref('int_credit_accounts_touched') }}

),

grants as (

    select * from {{ ref('stg_raw__credit_grants') }}

),

voids as (

    select * from {{ ref('stg_raw__credit_voids') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

last_usage as (

    select
        account_id,
        max(last_occurred_at) as last_occurred_at
    from account_days
    where {{ is_touched_account('account_id') }}
    group by account_id

),

-- Until when the account is burnt down, exclusive: until now, and after all its usage.
clocks as (

    select
        touched.account_id,
        greatest(
            bounds.as_of,
            coalesce(
                last_usage.last_occurred_at + interval '1' second, timestamp '0001-01-01 00:00:00'
            )
        ) as until_at
    from touched
    left join last_usage
        on touched.account_id = last_usage.account_id
    cross join bounds

),

-- A lot that ends before it takes effect is lost as a whole when it would have begun.
lots as (

    select
        grants.grant_id as lot_id,
        grants.account_id,
        grants.kind,
        grants.credits,
        grants.priority,
        grants.effective_at,
        grants.expires_at,
        voids.voided_at,
        voids.cause as void_cause,
        voids.refunded_minor,
        voids.receivable_minor,
        grants.purchase_id,
        grants.paid_minor,
        grants.currency,
        grants.reason,
        grants.recorded_at,
        clocks.until_at,
        case
            when grants.expires_at is not null or voids.voided_at is not null
                then greatest(
                    grants.effective_at,
                    least(
                        coalesce(grants.expires_at, voids.voided_at),
                        coalesce(voids.voided_at, grants.expires_at)
                    )
                )
        end as ends_at,
        case
            when
                voids.voided_at is not null
                and (grants.expires_at is null or voids.voided_at < grants.expires_at)
                then voids.cause
            when grants.expires_at is not null then 'expiry'
        end as end_cause
    from grants
    inner join clocks
        on grants.account_id = clocks.account_id
    left join voids
        on grants.grant_id = voids.grant_id
    where {{ is_touched_account('grants.account_id') }}

),

-- What a credit of the lot was paid with, rounded down: 12 decimals of a minor unit.
valued as (

    select
        lots.*,
        cast(
            case
                when paid_minor > 0
                    then least(
                        cast(
                            {{ whole_quotient(
                                "paid_minor * cast('1000000000000000000000' as decimal(38, 0))",
                                "credits * 1000000000"
                            ) }} as decimal(38, 0)
                        ) * cast(0.000000000001 as decimal(12, 12)),
                        cast(999999999999 as decimal(24, 12))
                    )
                else 0
            end as decimal(24, 12)
        ) as unit_cost_minor
    from lots

),

ordered as (

    select
        valued.*,
        effective_at < until_at as is_begun,
        coalesce(ends_at < until_at, false) as is_ended,
        row_number() over (
            partition by account_id
            order by
                priority,
                coalesce(expires_at, timestamp '9999-12-31 00:00:00'),
                case when expires_at is null then 1 else 0 end,
                case when kind = 'promotional' then 0 else 1 end,
                effective_at,
                recorded_at,
                lot_id
        ) as burn_rank
    from valued

)

select * from ordered
