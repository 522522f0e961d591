{#
    Tables, emptied and filled in one transaction as long as their columns stay the same. dbt's own
    way builds a second table and renames both: every change of a lake's schema makes its readers,
    dbt first of all, read the whole catalog again; a refresh should have none.
#}
{% materialization table, adapter='duckdb' %}

    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set is_contracted = config.get('contract').enforced -%}

    {{ run_hooks(pre_hooks) }}

    {%- if existing is not none and existing.is_view -%}
        {{ drop_relation_if_exists(existing) }}
    {%- endif -%}

    {%- if is_contracted -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}

    {%- set wanted = adapter.get_column_schema_from_query(sql) -%}
    {%- if existing is not none and existing.is_table and not flags.FULL_REFRESH
        and same_columns(adapter.get_columns_in_relation(existing), wanted) -%}
        {% call statement('main') -%}
            delete from {{ target }};
            insert into {{ target }} ({{ wanted | map(attribute='name') | join(', ') }})
            {{ sql }}
        {%- endcall %}
    {%- elif is_contracted -%}
        {% call statement('main') -%}
            create or replace table {{ target }} {{ get_table_columns_and_constraints() }};
            insert into {{ target }} {{ get_column_names() }} (
                {{ get_select_subquery(sql) }}
            )
        {%- endcall %}
    {%- else -%}
        {% call statement('main') -%}
            create or replace table {{ target }} as (
                {{ sql }}
            )
        {%- endcall %}
    {%- endif -%}

    {{ run_hooks(post_hooks) }}

    {{ adapter.commit() }}

    {{ return({'relations': [target]}) }}

{% endmaterialization %}


{# Whether two lists of columns have the same names and types, in whatever order. #}
{% macro same_columns(left, right) -%}
    {%- set texts = [] -%}
    {%- for columns in [left, right] -%}
        {%- set names = [] -%}
        {%- for column in columns -%}
            {%- do names.append(column.name ~ ' ' ~ column.dtype) -%}
        {%- endfor -%}
        {%- do texts.append(names | sort | join(', ')) -%}
    {%- endfor -%}
    {{ return(texts[0] == texts[1]) }}
{%- endmacro %}
