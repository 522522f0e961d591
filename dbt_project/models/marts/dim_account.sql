-- Grain: one row an account, as of the newest batch that was read.

with

account_terms as (

    select * from {{ ref('int_account_terms_dated') }}

),

bounds as (

    select * from {{ ref('int_refresh_bounded') }}

),

firsts as (

    select
        account_id,
        min(effective_from) as first_effective_from
    from account_terms
    group by account_id

),

accounts as (

    select
        account_terms.account_id,
        account_terms.name,
        account_terms.time_zone,
        account_terms.currency,
        account_terms.email,
        account_terms.plan,
        firsts.first_effective_from
    from account_terms
    inner join firsts
        on account_terms.account_id = firsts.account_id
    cross join bounds
    where
        bounds.as_of >= account_terms.starts_at
        and bounds.as_of < account_terms.ends_at

)

select * from accounts
