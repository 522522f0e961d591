-- Grain: one row an account and a month in its time zone, up to the month that runs.

with

months as (

    select * from {{ ref('fct_invoice_month') }}

),

final as (

    select
        account_id,
        month,
        plan,
        currency,
        opening_credits,
        granted_credits,
        invoiced_credits,
        used_credits,
        forfeited_credits,
        closing_credits,
        events,
        unrated_events,
        starts_at,
        ends_at
    from months

)

select * from final
