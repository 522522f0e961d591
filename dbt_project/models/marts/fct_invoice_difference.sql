-- Grain: one row an account, a month, a currency, a kind of charge and a tax: as invoiced by all documents
-- so far against as known now, and why the two differ. Worked out when it is read.

{{ config(materialized='view') }}

with

charges as (

    select * from {{ ref('int_invoice_charges_differing') }}

),

changes as (

    select * from {{ ref('int_invoice_usage_changed') }}

),

months as (

    select * from {{ ref('int_invoice_months_spanned') }}

),

changes_listed as (

    select
        account_id,
        month,
        max(case when cause = 'late_usage' then 1 else 0 end) = 1 as has_late,
        max(case when cause = 'corrected_usage' then 1 else 0 end) = 1 as has_corrected,
        max(case when cause = 'withdrawn_usage' then 1 else 0 end) = 1 as has_withdrawn
    from changes
    group by
        account_id,
        month

),

-- A charge that was invoiced under one tax and is known under another has a row of each.
compared as (

    select
        charges.*,
        known_credits - invoiced_credits as difference_credits,
        known_net_minor - invoiced_net_minor as difference_net_minor,
        known_gross_minor - invoiced_gross_minor as difference_gross_minor,
        sum(known_credits - invoiced_credits) over (
            partition by account_id, month, currency, kind
        ) as kind_credits,
        sum(known_gross_minor - invoiced_gross_minor) over (
            partition by account_id, month, currency, kind
        ) as kind_gross_minor,
        count(*) over (partition by account_id, month, currency, kind) > 1
        and min(case when is_known then 1 else 0 end) over (
            partition by account_id, month, currency, kind
        ) = 0 as has_tax_changed
    from charges

),

reasoned as (

    select
        compared.*,
        compared.difference_credits <> 0
        or coalesce(compared.difference_net_minor, 1) <> 0
        or compared.difference_gross_minor <> 0
        or compared.known_paid_minor <> compared.invoiced_paid_minor as is_different,
        compared.kind in ('overage', 'usage')
        and (
            compared.known_unit_price <> compared.invoiced_unit_price
            or months.plan = 'prepaid'
            or (months.plan = 'postpaid') <> (compared.kind = 'usage')
        ) as has_price_changed,
        compared.kind_credits <> 0
        and (compared.kind in ('overage', 'usage') or compared.kind_gross_minor = 0) as has_credits_changed,
        coalesce(changes_listed.has_late, false) as has_late,
        coalesce(changes_listed.has_corrected, false) as has_corrected,
        coalesce(changes_listed.has_withdrawn, false) as has_withdrawn
    from compared
    left join months
        on
            compared.account_id = months.account_id
            and compared.month = months.month
    left join changes_listed
        on
            compared.account_id = changes_listed.account_id
            and compared.month = changes_listed.month

),

caused as (

    select
        reasoned.*,
        case
            when is_before_first then 'before_first_invoice'
            when not is_closed then 'not_invoiced_yet'
            when not is_different then 'none'
            else
                coalesce(
                    nullif(
                        concat_ws(
                            ', ',
                            case when has_credits_changed and has_late then 'late_usage' end,
                            case when has_credits_changed and has_corrected then 'corrected_usage' end,
                            case when has_credits_changed and has_withdrawn then 'withdrawn_usage' end,
                            case
                                when
                                    has_credits_changed
                                    and not coalesce(has_price_changed, false)
                                    and not (has_late or has_corrected or has_withdrawn)
                                    then 'lots_changed'
                            end,
                            case when has_price_changed then 'price_or_plan_changed' end,
                            case when kind = 'purchase' and kind_gross_minor <> 0 then 'late_purchase' end,
                            case
                                when
                                    kind in ('refund', 'chargeback')
                                    and (kind_gross_minor <> 0 or known_paid_minor <> invoiced_paid_minor)
                                    then 'purchase_reversed'
                            end,
                            case when has_tax_changed then 'tax_changed' end
                        ),
                        ''
                    ),
                    'rounding'
                )
        end as cause
    from reasoned

),

final as (

    select
        ---------- ids
        account_id,
        month,

        ---------- texts
        currency,
        kind,
        tax_category,
        cause,

        ---------- numbers
        cast(tax_percent as decimal(24, 12)) as tax_percent,
        cast(invoiced_credits as decimal(38, 9)) as invoiced_credits,
        cast(known_credits as decimal(38, 9)) as known_credits,
        cast(difference_credits as decimal(38, 9)) as difference_credits,
        cast(invoiced_unit_price as decimal(24, 12)) as invoiced_unit_price,
        cast(known_unit_price as decimal(24, 12)) as known_unit_price,
        cast(invoiced_net_minor as bigint) as invoiced_net_minor,
        cast(known_net_minor as bigint) as known_net_minor,
        cast(difference_net_minor as bigint) as difference_net_minor,
        cast(invoiced_gross_minor as bigint) as invoiced_gross_minor,
        cast(known_gross_minor as bigint) as known_gross_minor,
        cast(difference_gross_minor as bigint) as difference_gross_minor,

        ---------- dates
        books_month
    from caused

)

select * from final
