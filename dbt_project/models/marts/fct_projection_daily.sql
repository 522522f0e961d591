-- Grain: one row an account, a part of it and a day from today to the end of the month: what is still
-- expected.

-- depends_on: {{ ref('int_projection_accounts_touched') }}

{{
    config(
        materialized='incremental',
        incremental_strategy='replace_accounts',
        on_schema_change='fail',
        sorted_by='account_id',
        meta={'touched': 'int_projection_accounts_touched', 'dagster': {'group': 'marts'}},
    )
}}

with

accounts as (

    select * from {{ ref('int_projection_accounts_dated') }}

),

levels as (

    select * from {{ ref('int_projection_parts_levelled') }}

),

replayed as (

    select * from {{ ref('int_projection_replayed') }}

),

-- A bounded calendar: joins by weekday would else go through all of its days.
dates as (

    select * from {{ ref('dim_date') }}
    where
        date_day >= (select min(accounts.today) from accounts)
        and date_day <= (select max({{ add_days('accounts.today', '31') }}) from accounts)

),

-- The account's days. Of today what is expected beyond what it has already.
account_days as (

    select
        levels.account_id,
        accounts.month,
        dates.date_day as usage_date,
        levels.iso_weekday,
        cast(
            greatest(
                {{ round_half_up(
                    'cast(levels.level_credits as double) * coalesce(replayed.seasonal_factor, 1.0)', 9
                ) }}
                - case when dates.date_day = levels.today then levels.today_credits else 0 end,
                0
            ) as decimal(38, 9)
        ) as expected_credits
    from levels
    inner join accounts
        on levels.account_id = accounts.account_id
    inner join dates
        on
            levels.iso_weekday = dates.iso_weekday
            and accounts.today <= dates.date_day
            and dates.date_day < {{ next_month('accounts.month') }}
    left join replayed
        on
            levels.account_id = replayed.account_id
            and replayed.purpose = 'month'
    where levels.scope = 'account'

),

-- Categories, models and agents share the account's days by their own levels.
shares as (

    select
        account_id,
        scope,
        part,
        iso_weekday,
        coalesce(
            cast(level_credits as double)
            / nullif(cast(sum(level_credits) over (
                partition by account_id, scope, iso_weekday
            ) as double), 0),
            0
        ) as share,
        row_number() over (
            partition by account_id, scope, iso_weekday
            order by level_credits desc, part asc
        ) as share_rank
    from levels

),

shared as (

    select
        account_days.account_id,
        account_days.month,
        shares.scope,
        shares.part,
        account_days.usage_date,
        shares.share_rank,
        account_days.expected_credits as account_credits,
        {{ share_of('account_days.expected_credits', 'shares.share', 9) }} as credits
    from account_days
    inner join shares
        on
            account_days.account_id = shares.account_id
            and account_days.iso_weekday = shares.iso_weekday

),

-- What rounding left goes to the largest part, so that parts add up to the whole.
final as (

    select
        account_id,
        month,
        scope,
        part,
        usage_date,
        cast(
            credits
            + case
                when share_rank = 1
                    then
                        account_credits
                        - sum(credits) over (partition by account_id, scope, usage_date)
                else 0
            end as decimal(38, 9)
        ) as expected_credits
    from shared

)

select * from final
