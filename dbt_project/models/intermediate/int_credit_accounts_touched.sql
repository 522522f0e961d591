-- Grain: one row an account whose ledger this run redoes: with new, corrected, withdrawn or re-rated
-- usage, new grants, voids or terms, or with a lot that began or ended since the last publication.

-- depends_on: {{ ref('int_usage_touched_days') }}

-- noqa: disable=ST03
-- (what is selected from depends on what changed)

{%- set published = published_load_id() %}
{%- set kinds = changes_found() %}

with

events as (

    select * from {{ ref('stg_raw__usage_events') }}

),

supersessions as (

    select * from {{ ref('stg_raw__usage_supersessions') }}

),

grants as (

    select * from {{ ref('stg_raw__credit_grants') }}

),

voids as (

    select * from {{ ref('stg_raw__credit_voids') }}

),

account_terms as (

    select * from {{ ref('stg_raw__account_terms') }}

),

loads as (

    select * from {{ ref('stg_raw__loads') }}

),

usage as (

    select * from {{ ref('fct_usage') }}

),

account_days as (

    select * from {{ ref('fct_usage_account_daily') }}

),

changes as (

    select * from {{ ref('int_usage_changes_found') }}

),

-- New and replaced events lie on touched days: files of other days are not opened.
day_events as (

    select
        load_id,
        account_id,
        usage_date_utc,
        source,
        event_id,
        revision
    from events
    where {{ is_touched_day('usage_date_utc') }}

),

-- "Now" of the last publication and of this run.
clocks as (

    select
        max(case when load_id <= {{ published }} then finished_at end) as published_as_of,
        max(finished_at) as as_of
    from loads

),

-- Lots whose beginning or end lies between the two.
passed_lots as (

    select grants.account_id
    from grants
    left join voids
        on grants.grant_id = voids.grant_id
    cross join clocks
    where
        (grants.effective_at >= clocks.published_as_of and grants.effective_at < clocks.as_of)
        or (grants.expires_at >= clocks.published_as_of and grants.expires_at < clocks.as_of)
        or (voids.voided_at >= clocks.published_as_of and voids.voided_at < clocks.as_of)

),

accounts as (

    {% if is_rebuilding_every_account() or published == 0 %}
        select account_id from account_days

        union distinct

        select account_id from grants

        union distinct

        select account_id from account_terms
    {% else %}
        select account_id
        from day_events
        where load_id > {{ published }}

        union distinct

        -- Whose event was replaced: it may be another account's now.
        select day_events.account_id
        from day_events
        inner join supersessions
            on
                day_events.usage_date_utc = supersessions.usage_date_utc
                and day_events.source = supersessions.source
                and day_events.event_id = supersessions.event_id
                and day_events.revision = supersessions.revision
        where supersessions.load_id > {{ published }}

        {% if asked_for('from_day') or asked_for('to_day') %}
            union distinct

            select account_id
            from usage
            where {{ is_touched_day('usage_date_utc') }}
        {% elif 'rate' in kinds %}
            union distinct

            select account_id
            from usage
            where
                {{ is_touched_day('usage_date_utc') }}
                and rating_status in ('rated', 'unrated')
        {% endif %}

        union distinct

        select account_id
        from changes
        where kind = 'time_zone'

        union distinct

        select account_id
        from grants
        where load_id > {{ published }}

        union distinct

        select grants.account_id
        from grants
        inner join voids
            on grants.grant_id = voids.grant_id
        where voids.load_id > {{ published }}

        union distinct

        select account_id
        from account_terms
        where load_id > {{ published }}

        union distinct

        select account_id
        from passed_lots
    {% endif %}

),

touched as (

    select account_id
    from accounts

)

select * from touched
