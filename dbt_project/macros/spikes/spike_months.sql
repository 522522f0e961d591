{# Which months of spikes a refresh looks at anew. int_spike_months_touched lists them; nothing else decides. #}

{# Whether all of them are: on a full rebuild, and as long as a table kept by these months does not exist yet. #}
{% macro is_rebuilding_every_spike() -%}
    {%- if is_rebuilding_everything() -%}
        {{ return(true) }}
    {%- endif -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.get('incremental_strategy') == 'replace_spike_months' -%}
            {%- if load_relation(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) is none -%}
                {{ return(true) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}


{# First days of the touched months as texts, read when the query is written: literals prune partitions. #}
{% macro spike_months() -%}
    {%- set touched = ref('int_spike_months_touched') -%}
    {%- if not execute or load_relation(touched) is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set months = run_query('select cast(month as varchar) as month from ' ~ touched ~ ' order by 1') -%}
    {{ return(months.columns[0].values() | list) }}
{%- endmacro %}


{# A predicate that keeps the months of spikes that this run redoes. #}
{% macro is_spike_month(column) -%}
    {%- set months = spike_months() -%}
    {%- if is_rebuilding_every_spike() -%}
        1 = 1
    {%- else -%}
        {{ is_one_of_days(column, months) }}
    {%- endif -%}
{%- endmacro %}


{#
    A predicate that keeps the months of usage which that takes: with those before that hold the weeks
    a day is compared with.
#}
{% macro is_month_for_spikes(column) -%}
    {%- set months = spike_months() -%}
    {%- if is_rebuilding_every_spike() -%}
        1 = 1
    {%- else -%}
        {%- set read = [] -%}
        {%- for month in months -%}
            {%- set first = modules.datetime.date.fromisoformat(month) -%}
            {%- for back in range(0, 7 * (var('spike_reach_weeks') | int) + 8) -%}
                {%- do read.append((first - modules.datetime.timedelta(days=back)).replace(day=1).isoformat()) -%}
            {%- endfor -%}
        {%- endfor -%}
        {{ is_one_of_days(column, read | unique | sort) }}
    {%- endif -%}
{%- endmacro %}


{# The incremental strategy of these models; their column is month. #}
{% macro get_incremental_replace_spike_months_sql(arg_dict) -%}
    {{ return(replaced('month', spike_months(), arg_dict)) }}
{%- endmacro %}
