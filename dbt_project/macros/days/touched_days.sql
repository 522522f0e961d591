{# Which UTC days a refresh rebuilds. int_usage_touched_days lists them; nothing else decides. #}

{#
    Whether every day is rebuilt: on a full refresh, and as long as a table that is kept by days
    does not exist yet.
#}
{% macro is_rebuilding_everything() -%}
    {%- if flags.FULL_REFRESH -%}
        {{ return(true) }}
    {%- endif -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.get('incremental_strategy') == 'replace_days' -%}
            {%- if load_relation(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) is none -%}
                {{ return(true) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}


{# The touched days as texts YYYY-MM-DD, read when the query is written: literals prune partitions. #}
{% macro touched_days() -%}
    {%- set touched = ref('int_usage_touched_days') -%}
    {%- if not execute or load_relation(touched) is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set days = run_query('select cast(usage_date_utc as varchar) as day from ' ~ touched ~ ' order by 1') -%}
    {{ return(days.columns[0].values() | list) }}
{%- endmacro %}


{# `column in (date '…', …)`, or false when the list is empty. #}
{% macro is_one_of_days(column, days) -%}
    {%- if days | length == 0 -%}
        1 = 0
    {%- else -%}
        {{ column }} in (
            {%- for day in days -%}
                date '{{ day }}'{{ ', ' if not loop.last }}
            {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}


{# A predicate that keeps the days this run rebuilds. #}
{% macro is_touched_day(column) -%}
    {%- set days = touched_days() -%}
    {%- if is_rebuilding_everything() -%}
        1 = 1
    {%- else -%}
        {{ is_one_of_days(column, days) }}
    {%- endif -%}
{%- endmacro %}


{# A predicate for data tests: touched days in a refresh, all history when full_checks is set. #}
{% macro is_checked_day(column) -%}
    {%- set days = touched_days() -%}
    {%- if var('full_checks') or is_rebuilding_everything() -%}
        1 = 1
    {%- else -%}
        {{ is_one_of_days(column, days) }}
    {%- endif -%}
{%- endmacro %}


{#
    A predicate for data tests that may have no day column: without one every row is looked at,
    and with `nightly` only when full_checks is set.
#}
{% macro is_checked(day_column=none, nightly=false) -%}
    {%- set touched = ref('int_usage_touched_days') -%}
    {%- if nightly and not var('full_checks') -%}
        1 = 0
    {%- elif day_column -%}
        {{ is_checked_day(day_column) }}
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro %}
