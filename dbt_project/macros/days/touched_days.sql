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
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.get('incremental_strategy') in ['replace_days', 'replace_months'] -%}
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


{#
    First days of the months, in the accounts' days, that touched UTC days may count to: a local date
    is at most one day off.
#}
{% macro touched_months() -%}
    {%- set months = [] -%}
    {%- for day in touched_days() -%}
        {%- for offset in [-1, 0, 1] -%}
            {%- set near = modules.datetime.date.fromisoformat(day) + modules.datetime.timedelta(days=offset) -%}
            {%- do months.append(near.replace(day=1).isoformat()) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(months | unique | sort) }}
{%- endmacro %}


{#
    A predicate that keeps the rows of fct_usage_daily in the months this run rebuilds: the UTC days
    of those months and one on either side, as literals, and of them the days of the account.
#}
{% macro is_in_touched_month(day_column, usage_date_column) -%}
    {%- set months = touched_months() -%}
    {%- if is_rebuilding_everything() -%}
        1 = 1
    {%- else -%}
        {%- set days = [] -%}
        {%- for month in months -%}
            {%- set first = modules.datetime.date.fromisoformat(month) -%}
            {%- for offset in range(-1, 33) -%}
                {%- do days.append((first + modules.datetime.timedelta(days=offset)).isoformat()) -%}
            {%- endfor -%}
        {%- endfor -%}
        {{ is_one_of_days(day_column, days | unique | sort) }}
        and {{ is_one_of_days("cast(date_trunc('month', " ~ usage_date_column ~ ") as date)", months) }}
    {%- endif -%}
{%- endmacro %}


{# A predicate for data tests: touched days in a refresh, all history when full checks are asked for. #}
{% macro is_checked_day(column) -%}
    {%- set days = touched_days() -%}
    {%- if asked_for('full_checks') or is_rebuilding_everything() -%}
        1 = 1
    {%- else -%}
        {{ is_one_of_days(column, days) }}
    {%- endif -%}
{%- endmacro %}


{#
    A predicate for data tests that may have no day column: without one every row is looked at,
    and with `nightly` only when full checks are asked for.
#}
{% macro is_checked(day_column=none, nightly=false) -%}
    {%- set touched = ref('int_usage_touched_days') -%}
    {%- if nightly and not asked_for('full_checks') -%}
        1 = 0
    {%- elif day_column -%}
        {{ is_checked_day(day_column) }}
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro %}
