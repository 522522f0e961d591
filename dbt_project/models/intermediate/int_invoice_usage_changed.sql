-- Grain: one row an account, a month that was invoiced and a way in which its usage changed since.
-- Worked out when it is read.

{{ config(materialized='view') }}

with

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

events as (

    select * from {{ ref('stg_raw__usage_events') }}

),

supersessions as (

    select * from {{ ref('stg_raw__usage_supersessions') }}

),

usage_events as (

    select * from {{ ref('fct_usage') }}

),

account_terms as (

    select * from {{ ref('int_account_terms_dated') }}

),

invoiced as (

    select
        account_id,
        max(month) as last_invoiced_month,
        max(raw_load_id) as invoiced_load_id
    from invoices
    where series = 'invoice'
    group by account_id

),

first_load as (

    select min(invoiced_load_id) as load_id
    from invoiced

),

changed as (

    select supersessions.*
    from supersessions
    inner join first_load
        on supersessions.load_id > first_load.load_id

),

-- What an invoice counted and a later batch replaced.
replaced as (

    select
        changed.source,
        changed.event_id,
        originals.account_id,
        originals.occurred_at,
        successors.is_withdrawn
    from changed
    inner join events as originals
        on
            changed.source = originals.source
            and changed.event_id = originals.event_id
            and changed.revision = originals.revision
            and changed.usage_date_utc = originals.usage_date_utc
    inner join events as successors
        on
            changed.source = successors.source
            and changed.event_id = successors.event_id
            and changed.superseded_by = successors.revision
    inner join invoiced
        on
            originals.account_id = invoiced.account_id
            and originals.load_id <= invoiced.invoiced_load_id
            and changed.load_id > invoiced.invoiced_load_id

),

replaced_dated as (

    select
        replaced.account_id,
        {{ account_date('replaced.occurred_at', 'account_terms') }} as usage_date,
        case when replaced.is_withdrawn then 'withdrawn_usage' else 'corrected_usage' end as cause
    from replaced
    left join account_terms
        on
            replaced.account_id = account_terms.account_id
            and replaced.occurred_at >= account_terms.starts_at
            and replaced.occurred_at < account_terms.ends_at

),

arrived as (

    select
        usage_events.account_id,
        usage_events.usage_date,
        case when replaced.event_id is null then 'late_usage' else 'corrected_usage' end as cause
    from usage_events
    inner join first_load
        on usage_events.load_id > first_load.load_id
    inner join invoiced
        on
            usage_events.account_id = invoiced.account_id
            and usage_events.load_id > invoiced.invoiced_load_id
            and usage_events.usage_date < {{ next_month('invoiced.last_invoiced_month') }}
    left join replaced
        on
            usage_events.source = replaced.source
            and usage_events.event_id = replaced.event_id

),

unioned as (

    select * from replaced_dated

    union all

    select * from arrived

),

changes as (

    select distinct
        unioned.account_id,
        cast(date_trunc('month', unioned.usage_date) as date) as month,
        unioned.cause
    from unioned
    inner join invoiced
        on
            unioned.account_id = invoiced.account_id
            and unioned.usage_date < {{ next_month('invoiced.last_invoiced_month') }}

)

select * from changes
