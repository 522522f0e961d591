-- Grain: one row a charge as FOCUS 1.2 has it; `charge_key` tells rows of an account and month apart.

with

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

taxes as (

    select * from {{ ref('int_tax_months_dated') }}

),

charges as (

    select * from {{ ref('int_focus_charges_priced') }}

),

told as (

    select * from {{ ref('int_focus_invoices_told') }}

),

lots as (

    select * from {{ ref('int_credit_lots_netted') }}

),

invoices as (

    select * from {{ ref('fct_invoice') }}

),

invoice_lines as (

    select * from {{ ref('fct_invoice_line') }}

),

-- The document on which a kind of charge of its own month stands; a refund may be on a credit note.
line_numbers as (

    select
        account_id,
        invoice_month as month,
        currency,
        kind,
        min(invoice_number) as invoice_number
    from invoice_lines
    where
        not is_correction
        and kind <> 'goodwill'
    group by
        account_id,
        invoice_month,
        currency,
        kind

),

invoice_numbers as (

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

charge_rows as (

    select
        charges.account_id,
        charges.month,
        charges.currency,
        case
            when charges.kind = 'purchase' then 'Purchase'
            when charges.kind in ('refund', 'chargeback') then 'Adjustment'
            else 'Usage'
        end as charge_category,
        cast(null as varchar) as charge_class,
        case charges.kind
            when 'purchase' then 'Purchase of credits: ' || lots.reason
            when 'refund' then 'Refund of credits'
            when 'chargeback' then 'Chargeback of credits'
            else
                'Use of category ' || charges.category
                || case when charges.model <> '(none)' then ', ' || charges.model else '' end
                || case charges.kind
                    when 'overage' then ', beyond credits bought'
                    when 'open' then ', beyond credits bought, not paid yet'
                    else ''
                end
        end as charge_description,
        coalesce(line_numbers.invoice_number, invoice_numbers.invoice_number) as invoice_number,
        charges.billed_amount,
        charges.effective_amount,
        case
            when charges.kind in ('refund', 'chargeback') then charges.billed_amount
            else charges.credits * charges.contracted_unit_price
        end as contracted_amount,
        case
            when charges.kind in ('refund', 'chargeback') then charges.billed_amount
            else charges.credits * charges.list_unit_price
        end as list_amount,
        charges.contracted_unit_price,
        charges.list_unit_price,
        case when charges.kind not in ('refund', 'chargeback') then charges.credits end as pricing_quantity,
        charges.operations as consumed_quantity,
        case
            when charges.agent_id is not null then charges.account_id || '/' || charges.agent_id
            when charges.kind = 'purchase' then 'lot/' || cast(charges.lot_id as varchar)
        end as resource_id,
        coalesce(charges.agent_id, case when charges.kind = 'purchase' then lots.reason end)
            as resource_name,
        case
            when charges.agent_id is not null then 'Agent'
            when charges.kind = 'purchase' then 'Lot of credits'
        end as resource_type,
        case
            when charges.agent_id is not null then charges.category || '/' || charges.model
            when charges.kind = 'purchase' then 'credits'
        end as sku_id,
        case
            when charges.agent_id is not null
                then charges.category || ' operations'
            when charges.kind = 'purchase' then 'Credits'
        end as sku_meter,
        case
            when charges.agent_id is not null
                then {{ json_object_of({'x_Category': 'charges.category', 'x_Model': 'charges.model'}) }}
        end as sku_price_details,
        case
            when charges.agent_id is not null
                then {{ json_object_of({
                    'meterhouse/agent': 'charges.agent_id',
                    'meterhouse/category': 'charges.category',
                    'meterhouse/model': 'charges.model',
                    'meterhouse/paid_by': "coalesce('lot/' || cast(charges.lot_id as varchar), charges.kind)",
                }) }}
            when charges.kind = 'purchase'
                then {{ json_object_of({
                    'meterhouse/lot': 'cast(charges.lot_id as varchar)'
                }) }}
        end as tags,
        charges.starts_at,
        charges.ends_at,
        {{ json_object_of({
            'kind': 'charges.kind',
            'currency': 'charges.currency',
            'starts_at': 'charges.starts_at',
            'agent': 'charges.agent_id',
            'category': 'charges.category',
            'model': 'charges.model',
            'lot': 'charges.lot_id',
            'segment': 'charges.segment',
        }) }} as charge_key
    from charges
    left join lots
        on charges.lot_id = lots.lot_id
    left join line_numbers
        on
            charges.account_id = line_numbers.account_id
            and charges.month = line_numbers.month
            and charges.currency = line_numbers.currency
            and charges.kind = line_numbers.kind
    left join invoice_numbers
        on
            charges.account_id = invoice_numbers.account_id
            and charges.month = invoice_numbers.month
            and charges.currency = invoice_numbers.currency

),

told_rows as (

    select
        told.account_id,
        told.month,
        told.currency,
        case
            when told.charge = 'tax' then 'Tax'
            when told.charge = 'credit' then 'Credit'
            when told.charge = 'correction' and told.kind in ('overage', 'usage') then 'Usage'
            when told.charge = 'correction' and told.kind = 'purchase' then 'Purchase'
            else 'Adjustment'
        end as charge_category,
        case when told.charge = 'correction' then 'Correction' end as charge_class,
        case
            when told.charge = 'tax'
                then 'Tax at ' || {{ plain_number('told.tax_percent') }} || ' %'
            when told.charge = 'credit' then 'Credit given on an invoice'
            when told.charge = 'correction'
                then 'Correction of ' || told.kind || ' of ' || substr(cast(told.charge_month as varchar), 1, 7)
            when told.kind = 'rounding' then 'Rounding'
            else 'Rounding of ' || told.kind || ', and what was known after the invoice'
        end as charge_description,
        told.invoice_number,
        told.amount as billed_amount,
        case when told.charge = 'credit' then told.amount else 0 end as effective_amount,
        told.amount as contracted_amount,
        told.amount as list_amount,
        cast(null as decimal(24, 12)) as contracted_unit_price,
        cast(null as decimal(24, 12)) as list_unit_price,
        cast(null as decimal(38, 9)) as pricing_quantity,
        cast(null as decimal(38, 9)) as consumed_quantity,
        cast(null as varchar) as resource_id,
        cast(null as varchar) as resource_name,
        cast(null as varchar) as resource_type,
        cast(null as varchar) as sku_id,
        cast(null as varchar) as sku_meter,
        cast(null as varchar) as sku_price_details,
        cast(null as varchar) as tags,
        months.starts_at,
        months.ends_at,
        {{ json_object_of({
            'kind': "told.charge || ' ' || told.kind",
            'currency': 'told.currency',
            'invoice': 'told.invoice_number',
            'month': 'told.charge_month',
            'tax': 'told.tax_percent',
            'line': 'told.line_number',
        }) }} as charge_key
    from told
    inner join months
        on
            told.account_id = months.account_id
            and told.charge_month = months.month

),

unioned as (

    select * from charge_rows

    union all

    select * from told_rows

),

final as (

    select
        ---------- ids
        unioned.account_id as billing_account_id,
        unioned.month,
        unioned.charge_key,
        unioned.invoice_number as invoice_id,
        unioned.resource_id,
        unioned.sku_id,
        unioned.sku_id as sku_price_id,

        ---------- texts
        months.name as billing_account_name,
        taxes.issuer_name as invoice_issuer_name,
        unioned.currency as billing_currency,
        unioned.charge_category,
        unioned.charge_class,
        unioned.charge_description,
        case when unioned.charge_category = 'Usage' then 'Usage-Based' else 'One-Time' end
            as charge_frequency,
        case when unioned.consumed_quantity is not null then 'Operations' end as consumed_unit,
        case when unioned.pricing_quantity is not null then 'Standard' end as pricing_category,
        case
            when unioned.charge_category = 'Usage' and unioned.pricing_quantity is not null then 'Credits'
            else unioned.currency
        end as pricing_currency,
        case when unioned.pricing_quantity is not null then 'Credits' end as pricing_unit,
        unioned.resource_name,
        unioned.resource_type,
        unioned.sku_meter,
        unioned.sku_price_details,
        unioned.tags,

        ---------- numbers
        cast(unioned.billed_amount as decimal(38, 21)) as billed_cost,
        cast(unioned.effective_amount as decimal(38, 21)) as effective_cost,
        cast(unioned.contracted_amount as decimal(38, 21)) as contracted_cost,
        cast(unioned.list_amount as decimal(38, 21)) as list_cost,
        unioned.contracted_unit_price,
        unioned.list_unit_price,
        cast(unioned.pricing_quantity as decimal(38, 9)) as pricing_quantity,
        cast(unioned.consumed_quantity as decimal(38, 9)) as consumed_quantity,
        case
            when unioned.charge_category = 'Usage' and unioned.pricing_quantity is not null
                then cast(1 as decimal(24, 12))
            else unioned.contracted_unit_price
        end as pricing_currency_contracted_unit_price,
        case
            when unioned.charge_category = 'Usage' and unioned.pricing_quantity is not null
                then cast(1 as decimal(24, 12))
            else unioned.list_unit_price
        end as pricing_currency_list_unit_price,
        cast(
            case
                when unioned.charge_category = 'Usage' and unioned.pricing_quantity is not null
                    then unioned.pricing_quantity
                else unioned.effective_amount
            end as decimal(38, 21)
        ) as pricing_currency_effective_cost,

        ---------- booleans
        taxes.tax_percent is not null as is_tax_known,

        ---------- timestamps
        months.starts_at as billing_period_start,
        months.ends_at as billing_period_end,
        unioned.starts_at as charge_period_start,
        unioned.ends_at as charge_period_end
    from unioned
    inner join months
        on
            unioned.account_id = months.account_id
            and unioned.month = months.month
    inner join taxes
        on
            unioned.account_id = taxes.account_id
            and unioned.month = taxes.month

)

select * from final
