-- Grain: one row a line of an issued invoice or credit note.

with

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

invoice_lines as (

    select * from {{ ref('stg_raw__invoice_lines') }}

),

final as (

    select
        invoice_lines.invoice_line_id,
        invoice_lines.invoice_id,
        invoices.invoice_number,
        invoice_lines.line_number,
        invoices.account_id,
        invoice_lines.month,
        invoices.month as invoice_month,
        invoice_lines.kind,
        invoice_lines.is_correction,
        invoices.currency,
        cast(invoice_lines.credits as decimal(38, 9)) as credits,
        invoice_lines.unit_price,
        invoice_lines.net_minor,
        invoice_lines.gross_minor,
        invoice_lines.paid_minor,
        invoice_lines.tax_category,
        invoice_lines.tax_percent
    from invoice_lines
    inner join invoices
        on invoice_lines.invoice_id = invoices.invoice_id

)

select * from final
