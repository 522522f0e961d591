-- Grain: one row an issued invoice or credit note.

with

invoice as (

    select * from {{ source('raw', 'invoice') }}

),

renamed as (

    select
        ---------- ids
        load_id,
        invoice_id,
        account_id,
        issuer_id,

        ---------- texts
        series,
        number as invoice_number,
        corrects as corrects_number,
        currency,
        content_hash,

        ---------- numbers
        year as issue_year,
        sequence as issue_sequence,
        net_minor,
        tax_minor,
        gross_minor,
        paid_minor,
        rounding_minor,
        due_minor,
        raw_load_id,

        ---------- dates and timestamps
        month,
        issue_date,
        recorded_at
    from invoice
    where {{ is_within_loads('load_id') }}

)

select * from renamed
