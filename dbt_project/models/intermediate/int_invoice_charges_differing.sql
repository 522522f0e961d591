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

-- Both are added up, not joined, so that who asks for one account reads only that one's postings.
unioned as (

    select
        account_id,
        month,
        currency,
        kind,
        tax_category,
        tax_percent,
        unit_price as known_unit_price,
        null as invoiced_unit_price,
        credits as known_credits,
        0 as invoiced_credits,
        net_minor as known_net_minor,
        0 as invoiced_net_minor,
        gross_minor as known_gross_minor,
        0 as invoiced_gross_minor,
        paid_minor as known_paid_minor,
        0 as invoiced_paid_minor,
        1 as known_rows
    from known

    union all

    select
        account_id,
        month,
        currency,
        kind,
        tax_category,
        tax_percent,
        null as known_unit_price,
        unit_price as invoiced_unit_price,
        0 as known_credits,
        credits as invoiced_credits,
        0 as known_net_minor,
        net_minor as invoiced_net_minor,
        0 as known_gross_minor,
        gross_minor as invoiced_gross_minor,
        0 as known_paid_minor,
        paid_minor as invoiced_paid_minor,
        0 as known_rows
    from invoiced

),

compared as (

    select
        account_id,
        month,
        currency,
        kind,
        tax_category,
        tax_percent,
        max(known_unit_price) as known_unit_price,
        max(invoiced_unit_price) as invoiced_unit_price,
        sum(known_credits) as known_credits,
        sum(invoiced_credits) as invoiced_credits,
        sum(known_net_minor) as known_net_minor,
        sum(invoiced_net_minor) as invoiced_net_minor,
        sum(known_gross_minor) as known_gross_minor,
        sum(invoiced_gross_minor) as invoiced_gross_minor,
        sum(known_paid_minor) as known_paid_minor,
        sum(invoiced_paid_minor) as invoiced_paid_minor,
        sum(known_rows) > 0 as is_known
    from unioned
    group by
        account_id,
        month,
        currency,
        kind,
        tax_category,
        tax_percent

),

-- Months before the first invoice were billed elsewhere; later ones are corrected by the next invoice.
differing as (

    select
        compared.*,
        invoiced_months.invoiced_load_id,
        invoiced_months.last_invoiced_month,
        coalesce(compared.month < invoiced_months.first_invoiced_month, false) as is_before_first,
        coalesce(compared.month <= invoiced_months.last_invoiced_month, false) as is_closed,
        case
            when compared.month <= invoiced_months.last_invoiced_month
                then {{ next_month('invoiced_months.last_invoiced_month') }}
            else compared.month
        end as books_month
    from compared
    left join invoiced_months
        on compared.account_id = invoiced_months.account_id

)

select * from differing
