{#
    Advice looks at the last whole UTC days before "now" (variable advice_days). It is made anew when
    these days, their usage or what prices it changed, and not otherwise: fct_advice_window, which is
    built last, says what the advice that stands was made from.
#}

{# The days as texts [first day, end day), or none when the advice that stands still holds. #}
{% macro advice_days_due() -%}
    {%- set bounds = ref('int_advice_window_bounded') -%}
    {%- set touched = ref('int_usage_touched_days') -%}
    {%- if not execute or load_relation(bounds) is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set columns = 'cast(window_from as varchar), cast(window_until as varchar), prices_load_id' -%}
    {%- set wanted = run_query('select ' ~ columns ~ ' from ' ~ bounds).rows[0].values() | list -%}
    {%- set days = wanted[:2] -%}
    {%- if flags.FULL_REFRESH or is_missing_advice() -%}
        {{ return(days) }}
    {%- endif -%}
    {%- set made = run_query('select ' ~ columns ~ ' from ' ~ advice_relation('fct_advice_window')).rows -%}
    {%- if made | length == 0 or made[0].values() | list != wanted -%}
        {{ return(days) }}
    {%- endif -%}
    {%- for day in touched_days() if days[0] <= day < days[1] -%}
        {{ return(days) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}


{# Whether a table that holds advice does not exist yet. #}
{% macro is_missing_advice() -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.get('incremental_strategy') == 'replace_advice' -%}
        {%- if load_relation(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) is none -%}
            {{ return(true) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(load_relation(advice_relation('fct_advice_window')) is none) }}
{%- endmacro %}


{# A relation next to the present one; no dependency, because it is built after it. #}
{% macro advice_relation(name) -%}
    {{ return(api.Relation.create(database=this.database, schema=this.schema, identifier=name)) }}
{%- endmacro %}


{# A predicate that keeps the days that advice is made from, or nothing when none is due. #}
{% macro is_advice_day(column) -%}
    {%- set days = advice_days_due() -%}
    {%- if days is none -%}
        1 = 0
    {%- else -%}
        {{ column }} >= date '{{ days[0] }}' and {{ column }} < date '{{ days[1] }}'
    {%- endif -%}
{%- endmacro %}


{#
    An incremental strategy of our own: in one transaction the whole table is emptied and filled when
    advice is due, and left as it is when not.
#}
{% macro get_incremental_replace_advice_sql(arg_dict) -%}
    {{ return(adapter.dispatch('replaced_advice', 'meterhouse')(arg_dict)) }}
{%- endmacro %}

{% macro default__replaced_advice(arg_dict) -%}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | join(', ') -%}
    {%- if advice_days_due() is none -%}
        select 'no advice is due' as outcome
    {%- else -%}
        delete from {{ target }};
        insert into {{ target }} ({{ columns }})
        select {{ columns }}
        from {{ arg_dict['temp_relation'] }}
    {%- endif -%}
{%- endmacro %}


{#
    The UTC days that measure accepted advice and are redone: touched ones, and all since the day of
    a decision that is new. Texts YYYY-MM-DD.
#}
{% macro measured_days() -%}
    {%- set decisions = ref('int_advice_decisions_dated') -%}
    {%- set bounds = ref('int_refresh_bounded') -%}
    {%- set touched = ref('int_usage_touched_days') -%}
    {%- if not execute or load_relation(decisions) is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set found = run_query(
        'select cast(min(measured_from) as varchar), cast(min(case when load_id > ' ~ published_load_id()
        ~ ' then measured_from end) as varchar), (select cast(cast(as_of as date) as varchar) from '
        ~ bounds ~ ') from ' ~ decisions
    ).rows[0].values() | list -%}
    {%- if found[0] is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set days = [] -%}
    {%- for day in touched_days() if day >= found[0] -%}
        {%- do days.append(day) -%}
    {%- endfor -%}
    {%- set since = found[0] if is_rebuilding_everything() or load_relation(this) is none else found[1] -%}
    {%- if since is not none -%}
        {%- set first = modules.datetime.date.fromisoformat(since) -%}
        {%- set count = (modules.datetime.date.fromisoformat(found[2]) - first).days + 1 -%}
        {%- for offset in range([count, 0] | max) -%}
            {%- do days.append((first + modules.datetime.timedelta(days=offset)).isoformat()) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(days | unique | sort) }}
{%- endmacro %}


{# A predicate that keeps these days. #}
{% macro is_measured_day(column) -%}
    {{ is_one_of_days(column, measured_days()) }}
{%- endmacro %}

{% macro get_incremental_replace_measured_days_sql(arg_dict) -%}
    {{ return(replaced('usage_date_utc', measured_days(), arg_dict)) }}
{%- endmacro %}
