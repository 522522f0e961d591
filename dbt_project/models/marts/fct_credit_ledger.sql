-- Grain: one row an entry of a posting: what it changes of one account of the ledger. Postings are
-- kept as one row and told as entries when they are read.

{{ config(materialized='view') }}

with

postings as (

    select * from {{ ref('fct_credit_posting') }}

),

ledger_accounts as (

    select 'credits:lot' as ledger_account

    union all

    select 'credits:issued' as ledger_account

    union all

    select 'credits:consumed' as ledger_account

    union all

    select 'credits:overage' as ledger_account

    union all

    select 'credits:breakage' as ledger_account

    union all

    select 'cash' as ledger_account

    union all

    select 'receivable' as ledger_account

    union all

    select 'deferred_revenue' as ledger_account

    union all

    select 'revenue' as ledger_account

    union all

    select 'breakage_revenue' as ledger_account

),

told as (

    select
        postings.*,
        ledger_accounts.ledger_account,
        case
            when ledger_accounts.ledger_account = 'credits:lot'
                then case postings.posting_kind
                    when 'grant' then postings.credits
                    when 'overage' then 0
                    else -postings.credits
                end
            when ledger_accounts.ledger_account = 'credits:issued'
                then case when postings.posting_kind = 'grant' then -postings.credits end
            when ledger_accounts.ledger_account = 'credits:consumed'
                then case when postings.posting_kind in ('consumption', 'overage') then postings.credits end
            when ledger_accounts.ledger_account = 'credits:overage'
                then case postings.posting_kind
                    when 'overage' then -postings.credits
                    when 'overage_payment' then postings.credits
                end
            when ledger_accounts.ledger_account = 'credits:breakage'
                then case
                    when postings.posting_kind in ('expiry', 'void', 'refund', 'chargeback')
                        then postings.credits
                end
        end as credits_entry,
        case
            when ledger_accounts.ledger_account = 'cash' then postings.cash_minor
            when ledger_accounts.ledger_account = 'receivable' then postings.receivable_minor
            when ledger_accounts.ledger_account = 'deferred_revenue'
                then case
                    when postings.posting_kind = 'grant' then -postings.value_minor
                    else postings.value_minor
                end
            when ledger_accounts.ledger_account = 'revenue'
                then case
                    when postings.posting_kind in ('consumption', 'overage_payment')
                        then -postings.value_minor
                end
            when ledger_accounts.ledger_account = 'breakage_revenue'
                then case
                    when postings.posting_kind in ('expiry', 'void', 'refund', 'chargeback')
                        then -postings.value_minor - postings.cash_minor - postings.receivable_minor
                end
        end as amount_entry
    from postings
    cross join ledger_accounts

),

entries as (

    select
        account_id,
        lot_id,
        posting_kind,
        ledger_account,
        segment,
        cast(coalesce(credits_entry, 0) as decimal(38, 9)) as credits,
        cast(coalesce(amount_entry, 0) as decimal(38, 21)) as amount_minor,
        case when ledger_account not like 'credits:%' then currency end as currency,
        usage_date,
        posted_date,
        posted_at
    from told
    where
        coalesce(credits_entry, 0) <> 0
        or coalesce(amount_entry, 0) <> 0

)

select * from entries
