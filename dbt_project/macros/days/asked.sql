{#
    What this run is asked for besides what is touched, as texts:

    - raw_load_id: the highest batch of the raw lake that is read; empty reads all there are
    - from_day, to_day: further UTC days to rebuild, from_day <= day < to_day
    - full_checks: whether data tests look at all history and not at touched days only

    It comes from the environment (METERHOUSE_RAW_LOAD_ID, …) and is looked up only when a query is
    written: changed variables on the command line, or an environment that was read while parsing,
    make dbt parse the whole project anew.
#}
{% macro asked_for(name) -%}
    {%- if not execute -%}
        {{ return('') }}
    {%- endif -%}
    {{ return(env_var('METERHOUSE_' ~ name | upper, '')) }}
{%- endmacro %}
