{#
    The incremental strategy `replace_days`: in one transaction the touched days are deleted from
    the table and inserted anew. A day whose events all vanished thereby loses its rows, a day that
    was not touched keeps its files, and no touched day means no change. The model must have a
    column usage_date_utc.
#}
{% macro get_incremental_replace_days_sql(arg_dict) -%}
    {{ return(adapter.dispatch('get_incremental_replace_days_sql', 'meterhouse')(arg_dict)) }}
{%- endmacro %}

{% macro default__get_incremental_replace_days_sql(arg_dict) -%}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set days = touched_days() -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | join(', ') -%}
    {%- if days | length == 0 -%}
        select 'no day is touched' as outcome
    {%- else -%}
        delete from {{ target }} where {{ is_one_of_days('usage_date_utc', days) }};
        insert into {{ target }} ({{ columns }})
        select {{ columns }}
        from {{ arg_dict['temp_relation'] }}
        where {{ is_one_of_days('usage_date_utc', days) }}
    {%- endif -%}
{%- endmacro %}
