{#
    Who pays for what, of accounts that burn their lots down: a subquery with one row a take, made by
    billing.burn_down_many in the engine. `lots` and `segments` are names of relations:

    - lots: account_id, lot_id, burn_rank, credits, begin_segment, end_segment (null: it does not end);
    - segments: account_id, segment (from 0 without a gap), credits used in it.

    The columns are account_id, lot_id, segment, is_repayment, take_from, take_to and lot_from, in
    credits. A take of usage lies between take_from and take_to of its segment's usage; a repayment
    takes from what was overage before, counted from the account's first. lot_from is what was
    consumed of the lot before.
#}
{% macro burnt_down(lots, segments) -%}
    {{ return(adapter.dispatch('burnt_down', 'meterhouse')(lots, segments)) }}
{%- endmacro %}

{% macro duckdb__burnt_down(lots, segments) -%}
    (
        select
            account_id,
            unnest(meterhouse_burn_down(lots, usage), max_depth := 2)
        from (
            select
                account_id,
                list(
                    struct_pack(
                        lot_id := lot_id,
                        burn_rank := burn_rank,
                        credits := cast(credits as decimal(38, 9)),
                        begin_segment := begin_segment,
                        end_segment := coalesce(end_segment, -1)
                    )
                ) as lots
            from {{ lots }}
            group by account_id
        ) as lot_lists
        inner join (
            select
                account_id,
                list(struct_pack(segment := segment, credits := cast(credits as decimal(38, 9)))) as usage
            from {{ segments }}
            group by account_id
        ) as segment_lists using (account_id)
    )
{%- endmacro %}


{#
    What the first `consumed` credits of a lot were paid with: credits times the lot's unit cost,
    and with the last credit all that was paid. Differences of it never add up to anything else.
    The product has 21 decimals and is left as it is: rounding it takes ten times as long.
#}
{% macro value_of_consumed(lot, consumed) -%}
    case
        when {{ consumed }} = {{ lot }}.credits then cast({{ lot }}.paid_minor as decimal(38, 21))
        else {{ consumed }} * {{ lot }}.unit_cost_minor
    end
{%- endmacro %}


{# A time in the account's days: its local date under the term that holds, never before its month. #}
{% macro account_date(moment, term) -%}
    greatest(
        cast({{ utc_to_local(moment, "coalesce(" ~ term ~ ".time_zone, 'UTC')") }} as date),
        coalesce({{ term }}.first_usage_date, date '0001-01-01')
    )
{%- endmacro %}


{# Credits that were worked out on doubles, rounded to nine decimals. #}
{% macro rounded_credits(amount) -%}
    cast(round({{ amount }}, 9) as decimal(38, 9))
{%- endmacro %}
