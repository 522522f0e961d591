{#
    Incremental strategies of our own. `replace_days`: in one transaction the touched UTC days are
    deleted from the table and inserted anew. A day whose events all vanished thereby loses its
    rows, a day that was not touched keeps its files, and no touched day means no change. The model
    must have a column usage_date_utc. `replace_months` does the same with the months, in the
    accounts' days, that touched days may count to; its column is month.
#}
{% macro get_incremental_replace_days_sql(arg_dict) -%}
    {{ return(replaced('usage_date_utc', touched_days(), arg_dict)) }}
{%- endmacro %}

{% macro get_incremental_replace_months_sql(arg_dict) -%}
    {{ return(replaced('month', touched_months(), arg_dict)) }}
{%- endmacro %}


{# Delete and insert the rows whose `column` is one of `dates`. #}
{% macro replaced(column, dates, arg_dict) -%}
    {{ return(adapter.dispatch('replaced', 'meterhouse')(column, dates, arg_dict)) }}
{%- endmacro %}

{% macro default__replaced(column, dates, arg_dict) -%}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | join(', ') -%}
    {%- if dates | length == 0 -%}
        select 'no day is touched' as outcome
    {%- else -%}
        delete from {{ target }} where {{ is_one_of_days(column, dates) }};
        insert into {{ target }} ({{ columns }})
        select {{ columns }}
        from {{ arg_dict['temp_relation'] }}
        where {{ is_one_of_days(column, dates) }}
    {%- endif -%}
{%- endmacro %}
