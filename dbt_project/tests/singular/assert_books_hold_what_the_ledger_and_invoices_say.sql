-- Fails where the books of an account and a currency do not end with what the ledger and the documents say:
-- cash that moved and came for invoices, what is open on documents, the tax on them, goodwill, the net
-- value of credits that are left, and every invoiced credit of usage as revenue.

{{ config(meta={'dagster': {'ref': {'name': 'fct_books_monthly'}}}) }}

-- depends_on: {{ ref('int_credit_accounts_touched') }}

with

entries as (

    select * from {{ ref('fct_book_entry') }}
    where {{ is_checked_account('account_id') }}

),

postings as (

    select * from {{ ref('fct_credit_posting') }}
    where {{ is_checked_account('account_id') }}

),

roll_forward as (

    select * from {{ ref('fct_credit_roll_forward') }}
    where
        {{ is_checked_account('account_id') }}
        and currency is not null

),

invoices as (

    select * from {{ ref('fct_invoice') }}
    where {{ is_checked_account('account_id') }}

),

invoice_lines as (

    select * from {{ ref('fct_invoice_line') }}
    where {{ is_checked_account('account_id') }}

),

last_months as (

    select
        account_id,
        currency,
        tax_percent,
        closing_minor,
        row_number() over (
            partition by account_id, currency, tax_percent
            order by month desc
        ) as month_rank
    from roll_forward

),

said as (

    select
        account_id,
        currency,
        'cash' as what,
        cash_minor as amount_minor
    from postings
    where cash_minor <> 0

    union all

    select
        account_id,
        currency,
        'cash' as what,
        settled_minor as amount_minor
    from invoices

    union all

    select
        account_id,
        currency,
        'receivable' as what,
        open_minor as amount_minor
    from invoices

    union all

    select
        account_id,
        currency,
        'deferred_revenue' as what,
        -coalesce({{ net_of_tax('closing_minor', 'tax_percent') }}, 0) as amount_minor
    from last_months
    where month_rank = 1

    union all

    select
        account_id,
        currency,
        'goodwill' as what,
        -net_minor as amount_minor
    from invoice_lines
    where kind = 'goodwill'

    union all

    select
        account_id,
        currency,
        'usage' as what,
        -net_minor as amount_minor
    from invoice_lines
    where kind in ('overage', 'usage')

),

booked as (

    select
        account_id,
        currency,
        book_account as what,
        amount_minor
    from entries
    where book_account in ('cash', 'receivable', 'deferred_revenue', 'goodwill')

    union all

    select
        account_id,
        currency,
        'usage' as what,
        amount_minor
    from entries
    where
        book_account = 'revenue'
        and source in ('invoice', 'credit_note')

),

compared as (

    select
        account_id,
        currency,
        what,
        amount_minor
    from said

    union all

    select
        account_id,
        currency,
        what,
        -amount_minor as amount_minor
    from booked

),

differing as (

    select
        account_id,
        currency,
        what,
        sum(amount_minor) as off_minor
    from compared
    group by
        account_id,
        currency,
        what
    having sum(amount_minor) <> 0

)

select * from differing
