{#
    A quotient, rounded to `scale` decimals; 0 when the denominator is 0. Engines differ in what
    dividing decimals gives, so it is done on doubles: for shares and estimates, never for money.
#}
{% macro ratio(numerator, denominator, precision, scale) -%}
    {{ return(adapter.dispatch('ratio', 'meterhouse')(numerator, denominator, precision, scale)) }}
{%- endmacro %}

{% macro default__ratio(numerator, denominator, precision, scale) -%}
    cast(
        coalesce(
            round(cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0), {{ scale }}),
            0
        )
        as decimal({{ precision }}, {{ scale }})
    )
{%- endmacro %}


{# A decimal rounded half up; what is rounded is never negative here. #}
{% macro round_half_up(amount, scale) -%}
    {{ return(adapter.dispatch('round_half_up', 'meterhouse')(amount, scale)) }}
{%- endmacro %}

{% macro duckdb__round_half_up(amount, scale) -%}
    round({{ amount }}, {{ scale }})
{%- endmacro %}


{# The whole part of a quotient of two whole numbers, neither negative, with 38 digits at most. #}
{% macro whole_quotient(numerator, denominator) -%}
    {{ return(adapter.dispatch('whole_quotient', 'meterhouse')(numerator, denominator)) }}
{%- endmacro %}

{% macro duckdb__whole_quotient(numerator, denominator) -%}
    (cast({{ numerator }} as hugeint) // cast({{ denominator }} as hugeint))
{%- endmacro %}


{# A decimal as text without zeros at its end. #}
{% macro plain_number(amount) -%}
    {{ return(adapter.dispatch('plain_number', 'meterhouse')(amount)) }}
{%- endmacro %}

{% macro default__plain_number(amount) -%}
    rtrim(rtrim(cast({{ amount }} as varchar), '0'), '.')
{%- endmacro %}


{# The median of an expression over the rows of a window; `window` is what stands after `over`. #}
{% macro median_over(expression, window) -%}
    {{ return(adapter.dispatch('median_over', 'meterhouse')(expression, window)) }}
{%- endmacro %}

{% macro duckdb__median_over(expression, window) -%}
    quantile_cont({{ expression }}, 0.5) over ({{ window }})
{%- endmacro %}


{# The median of a list of doubles; nulls are no values, and of nothing else it is null. #}
{% macro median_of(values) -%}
    {{ return(adapter.dispatch('median_of', 'meterhouse')(values)) }}
{%- endmacro %}

{% macro duckdb__median_of(values) -%}
    list_median([{{ values | join(', ') }}])
{%- endmacro %}


{#
    A sum of doubles that is the same in whatever order they come, to 12 decimals: doubles themselves
    differ in their last digits, and with them what is rounded from them.
#}
{% macro steady_sum(amount) -%}
    cast(sum(cast({{ amount }} as decimal(38, 12))) as double)
{%- endmacro %}
