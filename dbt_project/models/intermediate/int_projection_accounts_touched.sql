-- Grain: one row an account that this run projects anew: whose usage, lots or terms changed, whose
-- provider cost did, or for whom a new day has begun since the last publication.

-- depends_on: {{ ref('int_usage_touched_days') }}

{%- set published = published_load_id() %}
{%- set kinds = changes_found() %}

with

touched as (

    select * from {{ ref('int_credit_accounts_touched') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

usage as (

    select * from {{ ref('fct_usage') }}

),

dim_accounts as (

    select * from {{ ref('dim_account') }}

),

loads as (

    select * from {{ ref('stg_raw__loads') }}

),

-- "Now" of the last publication and of this run.
clocks as (

    select
        max(case when load_id <= {{ published }} then finished_at end) as published_as_of,
        max(finished_at) as as_of
    from loads

),

used as (

    select distinct account_id
    from account_days

),

new_days as (

    select used.account_id
    from used
    left join dim_accounts
        on used.account_id = dim_accounts.account_id
    cross join clocks
    where
        clocks.published_as_of is null
        or cast({{ utc_to_local('clocks.as_of', "coalesce(dim_accounts.time_zone, 'UTC')") }} as date)
        <> cast(
            {{ utc_to_local('clocks.published_as_of', "coalesce(dim_accounts.time_zone, 'UTC')") }} as date
        )

),

found as (

    select account_id
    from touched

    union distinct

    select account_id
    from new_days

    {% if 'provider_cost' in kinds %}
        union distinct

        select account_id
        from usage
        where {{ is_touched_day('usage_date_utc') }}
    {% endif %}

)

select * from found
