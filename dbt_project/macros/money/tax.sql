{#
    Amounts without tax and roundings of invoices, on whole numbers: what billing.invoices.charges does
    with fractions. A rate has at most four decimals; an amount counts to twelve.
#}

{# 1 + a rate in percent, in millionths. #}
{% macro tax_divisor(percent) -%}
    cast((100 + {{ percent }}) * 10000 as decimal(38, 0))
{%- endmacro %}


{# A quotient of whole numbers, rounded half up, the same on both sides of zero; the divisor is above 0. #}
{% macro rounded_quotient(numerator, divisor) -%}
    (
        case when {{ numerator }} < 0 then -1 else 1 end
        * {{ whole_quotient('(2 * abs(' ~ numerator ~ ') + ' ~ divisor ~ ')', '(2 * ' ~ divisor ~ ')') }}
    )
{%- endmacro %}


{# The largest whole number that is not above a quotient of whole numbers; the divisor is above 0. #}
{% macro floored_quotient(numerator, divisor) -%}
    case
        when {{ numerator }} >= 0 then {{ whole_quotient(numerator, divisor) }}
        else -{{ whole_quotient('(' ~ divisor ~ ' - 1 - ' ~ numerator ~ ')', divisor) }}
    end
{%- endmacro %}


{# An amount with tax, in minor units, as whole minor units without it; null where the rate is unknown. #}
{% macro net_of_tax(amount, percent) -%}
    cast(
        {{ rounded_quotient(
            'cast(cast(' ~ amount ~ ' as decimal(38, 12)) * 1000000000000 as decimal(38, 0)) * 1000000',
            '(' ~ tax_divisor(percent) ~ ' * 1000000000000)'
        ) }} as bigint
    )
{%- endmacro %}


{# Tax on a net amount of whole minor units, rounded half up. #}
{% macro tax_on(net, percent) -%}
    cast(
        {{ rounded_quotient(
            'cast(' ~ net ~ ' * cast(' ~ percent ~ ' * 10000 as bigint) as decimal(38, 0))', '1000000'
        ) }} as bigint
    )
{%- endmacro %}
