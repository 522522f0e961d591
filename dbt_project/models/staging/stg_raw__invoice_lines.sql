-- Grain: one row a line of an issued invoice or credit note.

with

invoice_line as (

    select * from {{ source('raw', 'invoice_line') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        invoice_line_id,
        invoice_id,

        ---------- texts
        kind,
        tax_category,

        ---------- booleans
        is_correction,

        ---------- numbers
        line_number,
        credits,
        unit_price,
        net_minor,
        gross_minor,
        paid_minor,
        tax_percent,

        ---------- dates
        month
    from invoice_line
    where {{ is_within_loads('load_id') }}

)

select * from renamed
