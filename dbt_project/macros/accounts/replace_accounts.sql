{#
    An incremental strategy of our own: in one transaction the rows of the touched accounts are
    deleted from the table and inserted anew. An account that lost everything loses its rows, one
    that was not touched keeps its files, and no touched account means no change. The model must
    have a column account_id; meta.touched names what lists the accounts, the ledger's without it.
#}
{% macro get_incremental_replace_accounts_sql(arg_dict) -%}
    {{ return(adapter.dispatch('replaced_accounts', 'meterhouse')(arg_dict)) }}
{%- endmacro %}

{% macro default__replaced_accounts(arg_dict) -%}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | join(', ') -%}
    {%- set list = config.get('meta', {}).get('touched', 'int_credit_accounts_touched') -%}
    {%- set accounts = listed_accounts(list) -%}
    {%- if accounts is not none and accounts | length == 0 -%}
        select 'no account is touched' as outcome
    {%- else -%}
        delete from {{ target }} where {{ is_one_of_accounts('account_id', accounts, list) }};
        insert into {{ target }} ({{ columns }})
        select {{ columns }}
        from {{ arg_dict['temp_relation'] }}
        where {{ is_one_of_accounts('account_id', accounts, list) }}
    {%- endif -%}
{%- endmacro %}
