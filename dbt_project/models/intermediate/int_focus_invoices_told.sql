-- Grain: one row what an invoice or credit note says beyond the charges of its month: corrections of
-- earlier months, credits given by hand, tax, and what makes charges meet it; the like of a month that
-- has no invoice yet. Amounts are in units of the currency.

{{ config(materialized='view') }}

with

charges as (

    select * from {{ ref('int_focus_charges_priced') }}

),

invoices as (

    select * from {{ ref('fct_invoice') }}

),

invoice_lines as (

    select * from {{ ref('fct_invoice_line') }}

),

drafts as (

    select * from {{ ref('fct_invoice_draft') }}

),

taxes as (

    select * from {{ ref('int_tax_months_dated') }}

),

known as (

    select
        account_id,
        month,
        currency,
        kind,
        sum(billed_amount) as amount
    from charges
    where kind in ('purchase', 'refund', 'chargeback', 'overage', 'usage')
    group by
        account_id,
        month,
        currency,
        kind

),

month_invoices as (

    select
        account_id,
        month,
        currency,
        min(invoice_number) as invoice_number
    from invoices
    where series = 'invoice'
    group by
        account_id,
        month,
        currency

),

-- What documents say of their own month's charges.
said as (

    select
        account_id,
        invoice_month as month,
        currency,
        kind,
        min(invoice_number) as invoice_number,
        sum(net_minor) as net_minor
    from invoice_lines
    where
        not is_correction
        and kind in ('purchase', 'refund', 'chargeback', 'overage', 'usage')
    group by
        account_id,
        invoice_month,
        currency,
        kind

),

kinds as (

    select
        account_id,
        month,
        currency,
        kind
    from known

    union distinct

    select
        account_id,
        month,
        currency,
        kind
    from said

),

-- What is said of a month's charges less what is known of them now: rounding, and whatever was known
-- later and stands on a later invoice as a correction.
met as (

    select
        kinds.account_id,
        kinds.month,
        kinds.currency,
        'adjustment' as charge,
        kinds.kind,
        kinds.month as charge_month,
        cast(null as decimal(24, 12)) as tax_percent,
        coalesce(said.invoice_number, month_invoices.invoice_number) as invoice_number,
        coalesce({{ in_units('said.net_minor', 'kinds.currency') }}, 0)
        - coalesce(known.amount, 0) as amount,
        cast(0 as bigint) as line_number
    from kinds
    inner join month_invoices
        on
            kinds.account_id = month_invoices.account_id
            and kinds.month = month_invoices.month
            and kinds.currency = month_invoices.currency
    left join known
        on
            kinds.account_id = known.account_id
            and kinds.month = known.month
            and kinds.currency = known.currency
            and kinds.kind = known.kind
    left join said
        on
            kinds.account_id = said.account_id
            and kinds.month = said.month
            and kinds.currency = said.currency
            and kinds.kind = said.kind

),

beyond as (

    select
        account_id,
        invoice_month as month,
        currency,
        case when kind = 'goodwill' then 'credit' else 'correction' end as charge,
        kind,
        month as charge_month,
        cast(null as decimal(24, 12)) as tax_percent,
        invoice_number,
        {{ in_units('net_minor', 'currency') }} as amount,
        line_number
    from invoice_lines
    where
        is_correction
        or kind = 'goodwill'

),

-- Tax is rounded once for each rate of a document.
taxed as (

    select
        invoice_lines.account_id,
        invoice_lines.invoice_month as month,
        invoice_lines.currency,
        'tax' as charge,
        invoice_lines.tax_category as kind,
        invoice_lines.invoice_month as charge_month,
        invoice_lines.tax_percent,
        invoice_lines.invoice_number,
        {{ in_units(
            tax_on('sum(invoice_lines.net_minor)', 'invoice_lines.tax_percent'),
            'invoice_lines.currency'
        ) }} as amount,
        cast(0 as bigint) as line_number
    from invoice_lines
    group by
        invoice_lines.account_id,
        invoice_lines.invoice_month,
        invoice_lines.currency,
        invoice_lines.tax_category,
        invoice_lines.tax_percent,
        invoice_lines.invoice_number

),

roundings as (

    select
        account_id,
        month,
        currency,
        'adjustment' as charge,
        'rounding' as kind,
        month as charge_month,
        cast(null as decimal(24, 12)) as tax_percent,
        invoice_number,
        {{ in_units('rounding_minor', 'currency') }} as amount,
        cast(0 as bigint) as line_number
    from invoices

),

-- A month without an invoice, as it would be invoiced: its net rounded once, with tax.
owed as (

    select
        drafts.account_id,
        drafts.month,
        drafts.currency,
        coalesce(taxes.tax_percent, 0) as tax_percent,
        sum(drafts.gross_minor) as gross_minor,
        bool_and(drafts.unit_price is null and drafts.gross_minor = drafts.paid_minor) as is_settled,
        sum(
            cast(
                coalesce(drafts.credits * drafts.unit_price, 0)
                * {{ minor_units('drafts.currency') }} as decimal(38, 12)
            )
        ) as usage_minor
    from drafts
    inner join taxes
        on
            drafts.account_id = taxes.account_id
            and drafts.month = taxes.month
    left join month_invoices
        on
            drafts.account_id = month_invoices.account_id
            and drafts.month = month_invoices.month
            and drafts.currency = month_invoices.currency
    where month_invoices.invoice_number is null
    group by
        drafts.account_id,
        drafts.month,
        drafts.currency,
        coalesce(taxes.tax_percent, 0)

),

-- Nano-units of a minor unit: what is taken out of amounts with tax does not end after some decimals.
netted as (

    select
        owed.*,
        cast(
            {{ rounded_quotient(
                rounded_quotient(
                    'cast(gross_minor as decimal(38, 0)) * 1000000000000000',
                    tax_divisor('tax_percent')
                )
                ~ ' + cast(round(usage_minor, 9) * 1000000000 as decimal(38, 0))',
                'cast(1000000000 as bigint)'
            ) }} as bigint
        ) as net_minor
    from owed

),

draft_taxed as (

    select
        netted.*,
        {{ tax_on('net_minor', 'tax_percent') }} as tax_minor
    from netted

),

known_sums as (

    select
        account_id,
        month,
        currency,
        sum(amount) as amount
    from known
    group by
        account_id,
        month,
        currency

),

told as (

    select * from met

    union all

    select * from beyond

    union all

    select * from taxed

    union all

    select * from roundings

    union all

    select
        account_id,
        month,
        currency,
        'tax' as charge,
        'draft' as kind,
        month as charge_month,
        tax_percent,
        cast(null as varchar) as invoice_number,
        {{ in_units('tax_minor', 'currency') }} as amount,
        cast(0 as bigint) as line_number
    from draft_taxed

    union all

    select
        draft_taxed.account_id,
        draft_taxed.month,
        draft_taxed.currency,
        'adjustment' as charge,
        'rounding' as kind,
        draft_taxed.month as charge_month,
        cast(null as decimal(24, 12)) as tax_percent,
        cast(null as varchar) as invoice_number,
        {{ in_units(
            'case when draft_taxed.is_settled'
            ~ ' then draft_taxed.gross_minor - draft_taxed.tax_minor else draft_taxed.net_minor end',
            'draft_taxed.currency'
        ) }} - known_sums.amount as amount,
        cast(0 as bigint) as line_number
    from draft_taxed
    inner join known_sums
        on
            draft_taxed.account_id = known_sums.account_id
            and draft_taxed.month = known_sums.month
            and draft_taxed.currency = known_sums.currency

),

final as (

    select
        account_id,
        month,
        currency,
        charge,
        kind,
        charge_month,
        tax_percent,
        invoice_number,
        line_number,
        cast(amount as decimal(38, 21)) as amount
    from told
    where amount <> 0

)

select * from final
