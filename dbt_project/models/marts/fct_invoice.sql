-- Grain: one row an issued invoice or credit note.

with

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

final as (

    select
        invoice_id,
        invoice_number,
        series,
        account_id,
        issuer_id,
        issue_year,
        issue_sequence,
        month,
        issue_date,
        corrects_number,
        currency,
        net_minor,
        tax_minor,
        gross_minor,
        paid_minor,
        rounding_minor,
        due_minor,
        raw_load_id,
        content_hash,
        recorded_at
    from invoices

)

select * from final
