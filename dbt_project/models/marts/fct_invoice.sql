-- Grain: one row an issued invoice or credit note.

with

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

payments as (

    select * from {{ ref('stg_raw__invoice_payments') }}

),

paid as (

    select
        invoice_id,
        sum(amount_minor) as settled_minor,
        max(paid_on) as last_paid_on
    from payments
    group by invoice_id

),

final as (

    select
        invoices.invoice_id,
        invoices.invoice_number,
        invoices.series,
        invoices.account_id,
        invoices.issuer_id,
        invoices.issue_year,
        invoices.issue_sequence,
        invoices.month,
        invoices.issue_date,
        invoices.corrects_number,
        invoices.currency,
        invoices.net_minor,
        invoices.tax_minor,
        invoices.gross_minor,
        invoices.paid_minor,
        invoices.rounding_minor,
        invoices.due_minor,
        cast(coalesce(paid.settled_minor, 0) as bigint) as settled_minor,
        cast(invoices.due_minor - coalesce(paid.settled_minor, 0) as bigint) as open_minor,
        case
            when invoices.series = 'credit_note' then 'credit_note'
            when invoices.due_minor = 0 then 'nothing_due'
            when paid.settled_minor = invoices.due_minor then 'paid'
            when paid.settled_minor > 0 then 'partly_paid'
            else 'due'
        end as status,
        paid.last_paid_on,
        invoices.raw_load_id,
        invoices.content_hash,
        invoices.recorded_at
    from invoices
    left join paid
        on invoices.invoice_id = paid.invoice_id

)

select * from final
