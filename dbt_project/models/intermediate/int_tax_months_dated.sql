-- Grain: one row an account and a month of it: who invoices it and at which rate it is taxed.

{{ config(materialized='view') }}

with

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

profiles as (

    select * from {{ ref('stg_raw__billing_profiles') }}

),

issuers as (

    select * from {{ ref('stg_raw__issuers') }}

),

tax_rates as (

    select * from {{ ref('stg_raw__tax_rates') }}

),

newest as (

    select
        issuers.*,
        row_number() over (partition by issuer_id order by issuer_row_id desc) as issuer_rank
    from issuers

),

profiled as (

    select
        months.account_id,
        months.month,
        profiles.tax_treatment,
        coalesce(profiles.issuer_id, 'main') as issuer_id,
        row_number() over (
            partition by months.account_id, months.month
            order by profiles.effective_from desc, profiles.profile_id desc
        ) as profile_rank
    from months
    left join profiles
        on
            months.account_id = profiles.account_id
            and months.month >= profiles.effective_from

),

rated as (

    select
        profiled.account_id,
        profiled.month,
        profiled.tax_treatment,
        profiled.issuer_id,
        newest.issuer_name,
        tax_rates.tax_percent,
        row_number() over (
            partition by profiled.account_id, profiled.month
            order by tax_rates.effective_from desc, tax_rates.tax_rate_id desc
        ) as rate_rank
    from profiled
    left join newest
        on
            profiled.issuer_id = newest.issuer_id
            and newest.issuer_rank = 1
    left join tax_rates
        on
            newest.country = tax_rates.country
            and profiled.month >= tax_rates.effective_from
    where profiled.profile_rank = 1

),

final as (

    select
        account_id,
        month,
        issuer_id,
        issuer_name,
        case
            when tax_treatment = 'standard' then tax_percent
            when tax_treatment is not null then 0
        end as tax_percent
    from rated
    where rate_rank = 1

)

select * from final
