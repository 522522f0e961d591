-- Grain: one row an entry of the books: an account, a month, a currency, what it is posted from and an
-- account of the chart. Worked out when it is read.

{{ config(materialized='view') }}

with

balances as (

    select * from {{ ref('fct_book_balance') }}

),

kept_balances as (

    select * from {{ ref('stg_raw__book_balances') }}

),

invoices as (

    select * from {{ ref('stg_raw__invoices') }}

),

invoice_lines as (

    select * from {{ ref('stg_raw__invoice_lines') }}

),

payments as (

    select * from {{ ref('stg_raw__invoice_payments') }}

),

charges as (

    select * from {{ ref('int_invoice_charges_differing') }}

),

closed as (

    select
        account_id,
        max(month) as closed_month
    from invoices
    where series = 'invoice'
    group by account_id

),

kept_accounts as (

    select distinct account_id
    from kept_balances

),

-- Closed months stay as they were kept; what the ledger says otherwise since is posted in the open one.
lot_balances as (

    select
        account_id,
        month,
        currency,
        cash_minor,
        suspense_minor,
        unbilled_minor,
        tax_minor,
        deferred_minor,
        revenue_minor,
        breakage_minor
    from kept_balances

    union all

    select
        balances.account_id,
        balances.month,
        balances.currency,
        balances.cash_minor,
        balances.suspense_minor,
        balances.unbilled_minor,
        balances.tax_minor,
        balances.deferred_minor,
        balances.revenue_minor,
        balances.breakage_minor
    from balances
    left join closed
        on balances.account_id = closed.account_id
    left join kept_accounts
        on balances.account_id = kept_accounts.account_id
    where
        kept_accounts.account_id is null
        or balances.month > closed.closed_month

),

lot_movements as (

    select
        account_id,
        month,
        currency,
        cash_minor - coalesce(
            lag(cash_minor) over (partition by account_id, currency order by month), 0
        ) as cash_minor,
        suspense_minor - coalesce(
            lag(suspense_minor) over (partition by account_id, currency order by month), 0
        ) as suspense_minor,
        unbilled_minor - coalesce(
            lag(unbilled_minor) over (partition by account_id, currency order by month), 0
        ) as unbilled_minor,
        tax_minor - coalesce(
            lag(tax_minor) over (partition by account_id, currency order by month), 0
        ) as tax_minor,
        deferred_minor - coalesce(
            lag(deferred_minor) over (partition by account_id, currency order by month), 0
        ) as deferred_minor,
        revenue_minor - coalesce(
            lag(revenue_minor) over (partition by account_id, currency order by month), 0
        ) as revenue_minor,
        breakage_minor - coalesce(
            lag(breakage_minor) over (partition by account_id, currency order by month), 0
        ) as breakage_minor
    from lot_balances

),

-- A note given by hand is posted when it is issued; a document of a close with its month.
documents_posted as (

    select
        invoices.invoice_id,
        invoices.account_id,
        invoices.invoice_number,
        invoices.series,
        invoices.currency,
        invoices.tax_minor,
        invoices.rounding_minor,
        invoices.paid_minor,
        invoices.due_minor,
        case
            when invoices.corrects_number is null then invoices.month
            else greatest(
                cast(date_trunc('month', invoices.issue_date) as date),
                {{ next_month("coalesce(max(earlier.month), date '0001-01-01')") }}
            )
        end as month
    from invoices
    left join invoices as earlier
        on
            invoices.account_id = earlier.account_id
            and invoices.invoice_id > earlier.invoice_id
            and earlier.series = 'invoice'
    group by
        invoices.invoice_id,
        invoices.account_id,
        invoices.invoice_number,
        invoices.series,
        invoices.currency,
        invoices.tax_minor,
        invoices.rounding_minor,
        invoices.paid_minor,
        invoices.due_minor,
        invoices.corrects_number,
        invoices.month,
        invoices.issue_date

),

lines_summed as (

    select
        invoice_id,
        sum(case when kind in ('purchase', 'refund', 'chargeback') then gross_minor else 0 end)
            as cash_gross_minor,
        sum(case when kind in ('purchase', 'refund', 'chargeback') then net_minor else 0 end)
            as cash_net_minor,
        sum(case when kind in ('overage', 'usage') then net_minor else 0 end) as usage_net_minor,
        sum(case when kind = 'goodwill' then net_minor else 0 end) as goodwill_net_minor
    from invoice_lines
    group by invoice_id

),

documents as (

    select
        documents_posted.*,
        lines_summed.cash_gross_minor,
        lines_summed.cash_net_minor,
        lines_summed.usage_net_minor,
        lines_summed.goodwill_net_minor
    from documents_posted
    inner join lines_summed
        on documents_posted.invoice_id = lines_summed.invoice_id

),

payments_posted as (

    select
        payments.invoice_payment_id,
        payments.reference,
        payments.amount_minor,
        invoices.account_id,
        invoices.currency,
        greatest(
            cast(date_trunc('month', payments.paid_on) as date),
            {{ next_month("coalesce(max(earlier.month), date '0001-01-01')") }}
        ) as month
    from payments
    inner join invoices
        on payments.invoice_id = invoices.invoice_id
    left join invoices as earlier
        on
            invoices.account_id = earlier.account_id
            and payments.recorded_at >= earlier.recorded_at
            and earlier.series = 'invoice'
    group by
        payments.invoice_payment_id,
        payments.reference,
        payments.amount_minor,
        payments.paid_on,
        invoices.account_id,
        invoices.currency

),

-- What the next invoices will say, as one document a month.
differences as (

    select
        account_id,
        books_month as month,
        currency,
        tax_percent,
        kind in ('purchase', 'refund', 'chargeback') as is_cash,
        known_net_minor - invoiced_net_minor as net_minor,
        known_gross_minor - invoiced_gross_minor as gross_minor,
        known_paid_minor - invoiced_paid_minor as paid_minor
    from charges
    where
        not is_before_first
        and known_net_minor is not null

),

rates_summed as (

    select
        account_id,
        month,
        currency,
        tax_percent,
        sum(net_minor) as net_minor,
        sum(paid_minor) as paid_minor,
        sum(case when is_cash then gross_minor else 0 end) as cash_gross_minor,
        sum(case when is_cash then net_minor else 0 end) as cash_net_minor,
        sum(case when is_cash then 0 else net_minor end) as usage_net_minor,
        min(
            case
                when is_cash and gross_minor = paid_minor then 1
                when not is_cash and net_minor = 0 then 1
                else 0
            end
        ) as is_settled
    from differences
    group by
        account_id,
        month,
        currency,
        tax_percent

),

drafts_summed as (

    select
        account_id,
        month,
        currency,
        sum(net_minor) as net_minor,
        sum(coalesce({{ tax_on('net_minor', 'tax_percent') }}, 0)) as tax_minor,
        sum(paid_minor) as paid_minor,
        sum(cash_gross_minor) as cash_gross_minor,
        sum(cash_net_minor) as cash_net_minor,
        sum(usage_net_minor) as usage_net_minor,
        min(is_settled) as is_settled
    from rates_summed
    group by
        account_id,
        month,
        currency

),

drafts_rounded as (

    select
        drafts_summed.*,
        case when is_settled = 1 then paid_minor - net_minor - tax_minor else 0 end as rounding_minor
    from drafts_summed

),

drafts as (

    select
        drafts_rounded.*,
        net_minor + tax_minor + rounding_minor - paid_minor as due_minor
    from drafts_rounded

),

entries as (

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'cash' as book_account,
        cash_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'unbilled' as book_account,
        unbilled_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'suspense' as book_account,
        -suspense_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'tax_payable' as book_account,
        -tax_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'deferred_revenue' as book_account,
        -deferred_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'revenue' as book_account,
        -revenue_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'breakage' as book_account,
        -breakage_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        'lots' as source,
        cast(null as varchar) as document,
        'rounding' as book_account,
        suspense_minor + tax_minor + deferred_minor + revenue_minor + breakage_minor
        - cash_minor - unbilled_minor as amount_minor
    from lot_movements

    union all

    select
        account_id,
        month,
        currency,
        series as source,
        invoice_number as document,
        'receivable' as book_account,
        due_minor as amount_minor
    from documents

    union all

    select
        account_id,
        month,
        currency,
        series as source,
        invoice_number as document,
        'unbilled' as book_account,
        paid_minor - cash_gross_minor as amount_minor
    from documents

    union all

    select
        account_id,
        month,
        currency,
        series as source,
        invoice_number as document,
        'tax_payable' as book_account,
        cash_gross_minor - cash_net_minor - tax_minor as amount_minor
    from documents

    union all

    select
        account_id,
        month,
        currency,
        series as source,
        invoice_number as document,
        'revenue' as book_account,
        -usage_net_minor as amount_minor
    from documents

    union all

    select
        account_id,
        month,
        currency,
        series as source,
        invoice_number as document,
        'goodwill' as book_account,
        -goodwill_net_minor as amount_minor
    from documents

    union all

    select
        account_id,
        month,
        currency,
        series as source,
        invoice_number as document,
        'rounding' as book_account,
        -rounding_minor as amount_minor
    from documents

    union all

    select
        account_id,
        month,
        currency,
        'payment' as source,
        reference as document,
        'cash' as book_account,
        amount_minor
    from payments_posted

    union all

    select
        account_id,
        month,
        currency,
        'payment' as source,
        reference as document,
        'receivable' as book_account,
        -amount_minor as amount_minor
    from payments_posted

    union all

    select
        account_id,
        month,
        currency,
        'draft' as source,
        cast(null as varchar) as document,
        'unbilled' as book_account,
        due_minor + paid_minor - cash_gross_minor as amount_minor
    from drafts

    union all

    select
        account_id,
        month,
        currency,
        'draft' as source,
        cast(null as varchar) as document,
        'tax_payable' as book_account,
        cash_gross_minor - cash_net_minor - tax_minor as amount_minor
    from drafts

    union all

    select
        account_id,
        month,
        currency,
        'draft' as source,
        cast(null as varchar) as document,
        'revenue' as book_account,
        -usage_net_minor as amount_minor
    from drafts

    union all

    select
        account_id,
        month,
        currency,
        'draft' as source,
        cast(null as varchar) as document,
        'rounding' as book_account,
        -rounding_minor as amount_minor
    from drafts

),

final as (

    select
        ---------- ids
        entries.account_id,
        entries.month,

        ---------- texts
        entries.currency,
        entries.source,
        entries.document,
        entries.book_account,

        ---------- numbers
        cast(entries.amount_minor as bigint) as amount_minor,

        ---------- booleans
        coalesce(entries.month <= closed.closed_month, false) as is_closed
    from entries
    left join closed
        on entries.account_id = closed.account_id
    where entries.amount_minor <> 0

)

select * from final
