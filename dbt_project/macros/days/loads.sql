{# A predicate that keeps the batches this run may read: up to the one it was asked for. #}
{% macro is_within_loads(column) -%}
    {%- set raw_load_id = asked_for('raw_load_id') -%}
    {%- if raw_load_id -%}
        {{ column }} <= {{ raw_load_id | int }}
    {%- else -%}
        1 = 1
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
