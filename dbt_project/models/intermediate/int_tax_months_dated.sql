-- Grain: one row an account and a month of it: who invoices it and at which rate it is taxed.

{{ config(materialized='view') }}

with

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

taxes as (

    select * from {{ ref('int_account_taxes_dated') }}

),

issuers as (

    select * from {{ ref('stg_raw__issuers') }}

),

newest as (

    select
        issuer_id,
        issuer_name,
        row_number() over (order by issuer_row_id desc) as issuer_rank
    from issuers
    where issuer_id = 'main'

),

final as (

    select
        months.account_id,
        months.month,
        coalesce(newest.issuer_id, 'main') as issuer_id,
        newest.issuer_name,
        taxes.tax_percent
    from months
    left join taxes
        on
            months.account_id = taxes.account_id
            and months.month >= taxes.first_month
            and months.month < taxes.end_month
    left join newest
        on newest.issuer_rank = 1

)

select * from final
