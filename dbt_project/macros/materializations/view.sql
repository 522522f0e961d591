{#
    Views, replaced only when their SQL changed. Every change of a lake's schema makes its readers,
    dbt first of all, read the whole catalog again; a refresh should have none. The view's comment
    holds the digest of its SQL.
#}
{% materialization view, adapter='duckdb' %}

    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='view') -%}
    {%- set digest = 'dbt ' ~ local_md5(sql) -%}

    {{ run_hooks(pre_hooks) }}

    {%- if existing is not none and not existing.is_view -%}
        {{ drop_relation_if_exists(existing) }}
    {%- endif -%}

    {%- if existing is not none and existing.is_view and view_comment(target) == digest and not flags.FULL_REFRESH -%}
        {% call noop_statement('main', 'unchanged') -%} {%- endcall %}
    {%- else -%}
        {%- if config.get('contract').enforced -%}
            {{ get_assert_columns_equivalent(sql) }}
        {%- endif -%}
        {% call statement('main') -%}
            create or replace view {{ target }} as (
                {{ sql }}
            );
            comment on view {{ target }} is '{{ digest }}'
        {%- endcall %}
    {%- endif -%}

    {{ run_hooks(post_hooks) }}

    {{ adapter.commit() }}

    {{ return({'relations': [target]}) }}

{% endmaterialization %}


{# A view's comment, or none. #}
{% macro view_comment(relation) -%}
    {%- set found = run_query(
        "select comment from duckdb_views() where database_name = '" ~ relation.database
        ~ "' and schema_name = '" ~ relation.schema ~ "' and view_name = '" ~ relation.identifier ~ "'"
    ) -%}
    {{ return(found.columns[0].values()[0] if found | length else none) }}
{%- endmacro %}
