-- Grain: one row an account and a span of months in which its tax stays the same, half open.

with

profiles as (

    select * from {{ ref('stg_raw__billing_profiles') }}

),

issuers as (

    select * from {{ ref('stg_raw__issuers') }}

),

rates as (

    select * from {{ ref('stg_raw__tax_rates') }}

),

issuers_ranked as (

    select
        country,
        row_number() over (order by issuer_row_id desc) as row_rank
    from issuers
    where issuer_id = 'main'

),

profiles_ranked as (

    select
        account_id,
        tax_treatment,
        effective_from,
        row_number() over (
            partition by account_id, effective_from
            order by profile_id desc
        ) as row_rank
    from profiles

),

profiles_spanned as (

    select
        account_id,
        tax_treatment,
        effective_from as first_month,
        coalesce(
            lead(effective_from) over (partition by account_id order by effective_from),
            date '9999-12-01'
        ) as end_month
    from profiles_ranked
    where row_rank = 1

),

rates_ranked as (

    select
        rates.tax_percent,
        rates.effective_from,
        row_number() over (
            partition by rates.effective_from
            order by rates.tax_rate_id desc
        ) as row_rank
    from rates
    inner join issuers_ranked
        on rates.country = issuers_ranked.country
    where issuers_ranked.row_rank = 1

),

rates_spanned as (

    select
        tax_percent,
        effective_from as first_month,
        coalesce(lead(effective_from) over (order by effective_from), date '9999-12-01') as end_month
    from rates_ranked
    where row_rank = 1

),

taxed as (

    select
        account_id,
        case tax_treatment when 'reverse_charge' then 'AE' else 'G' end as tax_category,
        cast(0 as decimal(24, 12)) as tax_percent,
        first_month,
        end_month
    from profiles_spanned
    where tax_treatment <> 'standard'

    union all

    select
        profiles_spanned.account_id,
        case when rates_spanned.tax_percent = 0 then 'Z' else 'S' end as tax_category,
        rates_spanned.tax_percent,
        greatest(profiles_spanned.first_month, rates_spanned.first_month) as first_month,
        least(profiles_spanned.end_month, rates_spanned.end_month) as end_month
    from profiles_spanned
    inner join rates_spanned
        on
            profiles_spanned.first_month < rates_spanned.end_month
            and profiles_spanned.end_month > rates_spanned.first_month
    where profiles_spanned.tax_treatment = 'standard'

)

select * from taxed
