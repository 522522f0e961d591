-- Grain: one row a month and a currency: the books of all accounts.

with

books as (

    select * from {{ ref('fct_books_monthly') }}

),

invoice_lines as (

    select * from {{ ref('fct_invoice_line') }}

),

differences as (

    select * from {{ ref('int_invoice_charges_differing') }}

),

-- Purchases are in the month of the document that has them, else in the one that will.
bought as (

    select
        invoice_month as month,
        currency,
        gross_minor
    from invoice_lines
    where kind = 'purchase'

    union all

    select
        books_month as month,
        currency,
        known_gross_minor - invoiced_gross_minor as gross_minor
    from differences
    where kind = 'purchase'

),

purchases as (

    select
        month,
        currency,
        sum(gross_minor) as purchases_minor
    from bought
    group by
        month,
        currency

),

moved as (

    select
        month,
        currency,
        sum(case when book_account = 'cash' then debit_minor - credit_minor else 0 end) as cash_minor,
        sum(case when book_account = 'receivable' then debit_minor - credit_minor else 0 end) as receivable_minor,
        sum(case when book_account = 'unbilled' then debit_minor - credit_minor else 0 end) as unbilled_minor,
        sum(case when book_account = 'deferred_revenue' then debit_minor - credit_minor else 0 end)
            as deferred_revenue_minor,
        sum(case when book_account = 'tax_payable' then debit_minor - credit_minor else 0 end) as tax_payable_minor,
        sum(case when book_account = 'suspense' then debit_minor - credit_minor else 0 end) as suspense_minor,
        sum(case when book_account = 'revenue' then debit_minor - credit_minor else 0 end) as revenue_minor,
        sum(case when book_account = 'breakage' then debit_minor - credit_minor else 0 end) as breakage_minor,
        sum(case when book_account = 'goodwill' then debit_minor - credit_minor else 0 end) as goodwill_minor,
        sum(case when book_account = 'rounding' then debit_minor - credit_minor else 0 end) as rounding_minor,
        min(case when is_closed then 1 else 0 end) = 1 as is_closed
    from books
    group by
        month,
        currency

),

running as (

    select
        month,
        currency,
        is_closed,
        -revenue_minor as revenue_minor,
        -breakage_minor as breakage_minor,
        goodwill_minor,
        rounding_minor,
        sum(cash_minor) over (
            partition by currency
            order by month
            rows between unbounded preceding and current row
        ) as cash_minor,
        sum(receivable_minor) over (
            partition by currency
            order by month
            rows between unbounded preceding and current row
        ) as receivable_minor,
        sum(unbilled_minor) over (
            partition by currency
            order by month
            rows between unbounded preceding and current row
        ) as unbilled_minor,
        -sum(deferred_revenue_minor) over (
            partition by currency
            order by month
            rows between unbounded preceding and current row
        ) as deferred_revenue_minor,
        -sum(tax_payable_minor) over (
            partition by currency
            order by month
            rows between unbounded preceding and current row
        ) as tax_payable_minor,
        -sum(suspense_minor) over (
            partition by currency
            order by month
            rows between unbounded preceding and current row
        ) as suspense_minor
    from moved

),

final as (

    select
        running.month,
        running.currency,
        cast(coalesce(purchases.purchases_minor, 0) as bigint) as purchases_minor,
        cast(running.revenue_minor as bigint) as revenue_minor,
        cast(running.breakage_minor as bigint) as breakage_minor,
        cast(running.goodwill_minor as bigint) as goodwill_minor,
        cast(running.rounding_minor as bigint) as rounding_minor,
        cast(running.cash_minor as bigint) as cash_minor,
        cast(running.receivable_minor as bigint) as receivable_minor,
        cast(running.unbilled_minor as bigint) as unbilled_minor,
        cast(running.deferred_revenue_minor as bigint) as deferred_revenue_minor,
        cast(running.tax_payable_minor as bigint) as tax_payable_minor,
        cast(running.suspense_minor as bigint) as suspense_minor,
        running.is_closed
    from running
    left join purchases
        on
            running.month = purchases.month
            and running.currency = purchases.currency

)

select * from final
