-- Grain: one row an account, a month, a currency, a kind of charge and a tax: as known now, as invoiced,
-- and the month in whose books the difference stands. Worked out when it is read.

{{ config(materialized='view') }}

with

known as (

    select * from {{ ref('int_invoice_charges_netted') }}

),

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

invoice_lines as (

    select * from {{ ref('stg_raw__invoice_lines') }}

),

invoiced_months as (

    select
        account_id,
        min(month) as first_invoiced_month,
        max(month) as last_invoiced_month,
        max(raw_load_id) as invoiced_load_id
    from invoices
    where series = 'invoice'
    group by account_id

),

-- What was given by hand is no charge, and a covered month has none.
invoiced as (

    select
        invoices.account_id,
        invoice_lines.month,
        invoices.currency,
        invoice_lines.kind,
        invoice_lines.tax_category,
        invoice_lines.tax_percent,
        max(case when invoice_lines.is_correction then null else invoice_lines.unit_price end)
            as unit_price,
        sum(invoice_lines.credits) as credits,
        sum(invoice_lines.net_minor) as net_minor,
        sum(invoice_lines.gross_minor) as gross_minor,
        sum(invoice_lines.paid_minor) as paid_minor
    from invoice_lines
    inner join invoices
        on invoice_lines.invoice_id = invoices.invoice_id
    where invoice_lines.kind not in ('covered', 'goodwill')
    group by
        invoices.account_id,
        invoice_lines.month,
        invoices.currency,
        invoice_lines.kind,
        invoice_lines.tax_category,
        invoice_lines.tax_percent

),

joined as (

    select
        coalesce(known.account_id, invoiced.account_id) as account_id,
        coalesce(known.month, invoiced.month) as month,
        coalesce(known.currency, invoiced.currency) as currency,
        coalesce(known.kind, invoiced.kind) as kind,
        coalesce(known.tax_category, invoiced.tax_category) as tax_category,
        coalesce(known.tax_percent, invoiced.tax_percent) as tax_percent,
        known.unit_price as known_unit_price,
        invoiced.unit_price as invoiced_unit_price,
        coalesce(known.credits, 0) as known_credits,
        coalesce(invoiced.credits, 0) as invoiced_credits,
        case when known.account_id is null then 0 else known.net_minor end as known_net_minor,
        coalesce(invoiced.net_minor, 0) as invoiced_net_minor,
        coalesce(known.gross_minor, 0) as known_gross_minor,
        coalesce(invoiced.gross_minor, 0) as invoiced_gross_minor,
        coalesce(known.paid_minor, 0) as known_paid_minor,
        coalesce(invoiced.paid_minor, 0) as invoiced_paid_minor,
        known.account_id is not null as is_known,
        invoiced.account_id is not null as is_invoiced
    from known
    full outer join invoiced
        on
            known.account_id = invoiced.account_id
            and known.month = invoiced.month
            and known.currency = invoiced.currency
            and known.kind = invoiced.kind
            and known.tax_category = invoiced.tax_category
            and known.tax_percent = invoiced.tax_percent

),

-- Months before the first invoice were billed elsewhere; later ones are corrected by the next invoice.
differing as (

    select
        joined.*,
        invoiced_months.invoiced_load_id,
        invoiced_months.last_invoiced_month,
        coalesce(joined.month < invoiced_months.first_invoiced_month, false) as is_before_first,
        coalesce(joined.month <= invoiced_months.last_invoiced_month, false) as is_closed,
        case
            when joined.month <= invoiced_months.last_invoiced_month
                then {{ next_month('invoiced_months.last_invoiced_month') }}
            else joined.month
        end as books_month
    from joined
    left join invoiced_months
        on joined.account_id = invoiced_months.account_id

)

select * from differing
