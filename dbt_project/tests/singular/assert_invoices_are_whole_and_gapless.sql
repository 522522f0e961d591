-- Invoices whose lines do not add up to their net total, and series of a year with a gap.

{{ config(meta={'dagster': {'ref': {'name': 'fct_invoice_line'}}}) }}

with

invoices as (

    select * from {{ ref('fct_invoice') }}

),

invoice_lines as (

    select * from {{ ref('fct_invoice_line') }}

),

lines_summed as (

    select
        invoice_id,
        sum(net_minor) as net_minor,
        sum(paid_minor) as paid_minor
    from invoice_lines
    group by invoice_id

),

unbalanced as (

    select invoices.invoice_number as found
    from invoices
    left join lines_summed
        on invoices.invoice_id = lines_summed.invoice_id
    where
        lines_summed.net_minor is distinct from invoices.net_minor
        or lines_summed.paid_minor is distinct from invoices.paid_minor

),

gaps as (

    select series as found
    from invoices
    group by
        issuer_id,
        series,
        issue_year
    having max(issue_sequence) <> count(*)

),

problems as (

    select * from unbalanced

    union all

    select * from gaps

)

select * from problems
