-- Fails on lots whose balance in the ledger, of credits or of deferred money, is not what they have
-- left, and on lots that one of the two does not know.

{{ config(meta={'dagster': {'ref': {'name': 'fct_credit_lot'}}}) }}

-- depends_on: {{ ref('int_credit_accounts_touched') }}

with

entries as (

    select * from {{ ref('fct_credit_ledger') }}
    where
        {{ is_checked_account('account_id') }}
        and ledger_account in ('credits:lot', 'deferred_revenue')

),

lots as (

    select * from {{ ref('fct_credit_lot') }}
    where
        {{ is_checked_account('account_id') }}
        and status <> 'scheduled'

),

held as (

    select
        lot_id,
        sum(credits) as credits,
        -sum(amount_minor) as amount_minor
    from entries
    group by lot_id

),

differing as (

    select
        coalesce(lots.lot_id, held.lot_id) as lot_id,
        lots.remaining_credits,
        held.credits as ledger_credits,
        lots.deferred_minor,
        held.amount_minor as ledger_minor
    from lots
    full outer join held
        on lots.lot_id = held.lot_id
    where
        lots.lot_id is null
        or held.lot_id is null
        or lots.remaining_credits <> held.credits
        or lots.deferred_minor <> held.amount_minor

)

select * from differing
