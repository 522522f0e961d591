{# A subquery with one column, `date_day`: every day from `first_day` (inclusive) to `end_day`. #}
{% macro date_spine_days(first_day, end_day) -%}
    {{ return(adapter.dispatch('date_spine_days', 'meterhouse')(first_day, end_day)) }}
{%- endmacro %}

{% macro duckdb__date_spine_days(first_day, end_day) -%}
    (
        select cast(spine.date_day as date) as date_day
        from
            range(
                cast({{ first_day }} as timestamp),
                cast({{ end_day }} as timestamp),
                interval '1' day
            ) as spine (date_day)
    )
{%- endmacro %}


{# Whole days from one date to another. #}
{% macro days_between(first_date, second_date) -%}
    {{ return(adapter.dispatch('days_between', 'meterhouse')(first_date, second_date)) }}
{%- endmacro %}

{% macro duckdb__days_between(first_date, second_date) -%}
    date_diff('day', {{ first_date }}, {{ second_date }})
{%- endmacro %}


{# Days, with a fraction, from one timestamp to another. #}
{% macro elapsed_days_between(first_moment, second_moment) -%}
    {{ return(adapter.dispatch('elapsed_days_between', 'meterhouse')(first_moment, second_moment)) }}
{%- endmacro %}

{% macro duckdb__elapsed_days_between(first_moment, second_moment) -%}
    (date_diff('second', cast({{ first_moment }} as timestamp), cast({{ second_moment }} as timestamp)) / 86400.0)
{%- endmacro %}


{# A date moved by whole days; `days` is an expression. #}
{% macro add_days(date_day, days) -%}
    {{ return(adapter.dispatch('add_days', 'meterhouse')(date_day, days)) }}
{%- endmacro %}

{% macro duckdb__add_days(date_day, days) -%}
    cast({{ date_day }} + cast({{ days }} as integer) as date)
{%- endmacro %}


{# The first day of the month that follows. #}
{% macro next_month(month) -%}
    {{ return(adapter.dispatch('next_month', 'meterhouse')(month)) }}
{%- endmacro %}

{% macro duckdb__next_month(month) -%}
    cast({{ month }} + interval '1' month as date)
{%- endmacro %}


{# The first day of the month before. #}
{% macro previous_month(month) -%}
    {{ return(adapter.dispatch('previous_month', 'meterhouse')(month)) }}
{%- endmacro %}

{% macro duckdb__previous_month(month) -%}
    cast({{ month }} - interval '1' month as date)
{%- endmacro %}


{# ISO day of the week: 1 is Monday, 7 is Sunday. #}
{% macro iso_weekday(date_day) -%}
    {{ return(adapter.dispatch('iso_weekday', 'meterhouse')(date_day)) }}
{%- endmacro %}

{% macro duckdb__iso_weekday(date_day) -%}
    cast(isodow({{ date_day }}) as integer)
{%- endmacro %}


{# English name of a date's month and weekday. #}
{% macro month_name(date_day) -%}
    {{ return(adapter.dispatch('month_name', 'meterhouse')(date_day)) }}
{%- endmacro %}

{% macro duckdb__month_name(date_day) -%}
    monthname({{ date_day }})
{%- endmacro %}

{% macro weekday_name(date_day) -%}
    {{ return(adapter.dispatch('weekday_name', 'meterhouse')(date_day)) }}
{%- endmacro %}

{% macro duckdb__weekday_name(date_day) -%}
    dayname({{ date_day }})
{%- endmacro %}


{# Whole seconds since midnight of a time or a timestamp. #}
{% macro second_of_day(moment) -%}
    {{ return(adapter.dispatch('second_of_day', 'meterhouse')(moment)) }}
{%- endmacro %}

{% macro duckdb__second_of_day(moment) -%}
    cast(
        extract(hour from {{ moment }}) * 3600
        + extract(minute from {{ moment }}) * 60
        + floor(extract(second from {{ moment }}))
        as integer
    )
{%- endmacro %}
