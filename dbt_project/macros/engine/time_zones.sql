{# Time zones. Both arguments and results are UTC timestamps without a zone, or local wall clocks. #}

{% macro utc_to_local(moment, zone) -%}
    {{ return(adapter.dispatch('utc_to_local', 'meterhouse')(moment, zone)) }}
{%- endmacro %}

{% macro duckdb__utc_to_local(moment, zone) -%}
    timezone({{ zone }}, timezone('UTC', cast({{ moment }} as timestamp)))
{%- endmacro %}


{% macro local_to_utc(wall_clock, zone) -%}
    {{ return(adapter.dispatch('local_to_utc', 'meterhouse')(wall_clock, zone)) }}
{%- endmacro %}

{% macro duckdb__local_to_utc(wall_clock, zone) -%}
    timezone('UTC', timezone({{ zone }}, cast({{ wall_clock }} as timestamp)))
{%- endmacro %}


{#
    The instant, in UTC, at which a local day begins. The engine takes the later instant of a wall
    clock that occurs twice, and the first instant after a wall clock that is left out. Hence the
    second candidate: the midnight counted in the offset that held a day before; it is taken if it
    is earlier and the day has begun there.
#}
{% macro local_day_start(local_date, zone) -%}
    {%- set later = local_to_utc(local_date, zone) -%}
    {%- set day_before = '(' ~ later ~ " - interval '1' day)" -%}
    {%- set offset_before = '(' ~ utc_to_local(day_before, zone) ~ ' - ' ~ day_before ~ ')' -%}
    {%- set earlier = '(cast(' ~ local_date ~ ' as timestamp) - ' ~ offset_before ~ ')' -%}
    case
        when {{ earlier }} < {{ later }}
            and {{ utc_to_local(earlier, zone) }} >= cast({{ local_date }} as timestamp)
            then {{ earlier }}
        else {{ later }}
    end
{%- endmacro %}
