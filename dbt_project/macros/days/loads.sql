{# A predicate that keeps the batches this run may read: up to the variable raw_load_id. #}
{% macro is_within_loads(column) -%}
    {%- if var('raw_load_id') | string == 'all' -%}
        1 = 1
    {%- else -%}
        {{ column }} <= {{ var('raw_load_id') | int }}
    {%- endif -%}
{%- endmacro %}


{#
    The batch up to which the marts were published, 0 before the first publication; read when the
    query is written, so that files of older batches are not opened.
#}
{% macro published_load_id() -%}
    {%- set bounds = ref('int_refresh_bounded') -%}
    {%- if not execute or load_relation(bounds) is none -%}
        {{ return(0) }}
    {%- endif -%}
    {{ return(run_query('select published_load_id from ' ~ bounds).columns[0].values()[0] | int) }}
{%- endmacro %}


{# The kinds of changes that alter usage already published; read when the query is written. #}
{% macro changes_found() -%}
    {%- set changes = ref('int_usage_changes_found') -%}
    {%- if not execute or load_relation(changes) is none or published_load_id() == 0 -%}
        {{ return([]) }}
    {%- endif -%}
    {{ return(run_query('select distinct kind from ' ~ changes).columns[0].values() | list) }}
{%- endmacro %}
