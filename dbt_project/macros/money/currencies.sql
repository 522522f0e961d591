{# Digits of a currency's minor unit, as in billing.currencies. #}
{% macro minor_digits(currency) -%}
    case
        when
            {{ currency }} in (
                'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV',
                'XAF', 'XOF', 'XPF'
            )
            then 0
        when {{ currency }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 3
        else 2
    end
{%- endmacro %}


{# Minor units of a unit of a currency: 100 for EUR, 1 for JPY, 1,000 for KWD (ISO 4217). #}
{% macro minor_units(currency) -%}
    case {{ minor_digits(currency) }} when 0 then 1 when 3 then 1000 else 100 end
{%- endmacro %}


{# An amount of minor units in units of its currency. #}
{% macro in_units(amount_minor, currency) -%}
    {{ amount_minor }} * case {{ minor_units(currency) }}
        when 1 then cast(1 as decimal(4, 3))
        when 1000 then cast(0.001 as decimal(4, 3))
        else cast(0.01 as decimal(4, 3))
    end
{%- endmacro %}


{# A price of a credit in units of a currency, rounded down to 12 decimals: minor units ÷ credits. #}
{% macro credit_price(amount_minor, credits, currency) -%}
    cast(
        least(
            cast(
                {{ whole_quotient(
                    'cast(' ~ amount_minor ~ " as decimal(38, 0)) * cast('1000000000000000000000' as decimal(38, 0))",
                    'cast(' ~ credits ~ ' * 1000000000 as decimal(38, 0)) * ' ~ minor_units(currency)
                ) }} as decimal(38, 0)
            ) * cast(0.000000000001 as decimal(12, 12)),
            cast(999999999999 as decimal(24, 12))
        ) as decimal(24, 12)
    )
{%- endmacro %}
