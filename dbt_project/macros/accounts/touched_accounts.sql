{#
    Whose ledger and projection a refresh redoes. A model lists them and nothing else decides:
    int_credit_accounts_touched, or the one that a model names as meta.touched.
#}

{#
    Whether every account is redone: when every day is, and as long as a table that
    is kept by accounts does not exist yet.
#}
{% macro is_rebuilding_every_account() -%}
    {%- if is_rebuilding_everything() -%}
        {{ return(true) }}
    {%- endif -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.get('incremental_strategy') == 'replace_accounts' -%}
            {%- if load_relation(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) is none -%}
                {{ return(true) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}


{#
    The touched accounts as escaped texts, read when the query is written: literals let the engine
    skip the parts of a table, sorted by account, in which there are none of them. None when there
    are too many to list.
#}
{% macro listed_accounts(list='int_credit_accounts_touched') -%}
    {%- set touched = ref(list) -%}
    {%- if not execute or load_relation(touched) is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set found = run_query(
        "select replace(account_id, '''', '''''') as account_id from " ~ touched ~ ' order by 1 limit 201'
    ).columns[0].values() | list -%}
    {{ return(found if found | length <= 200 else none) }}
{%- endmacro %}


{# A predicate that keeps the accounts that this run redoes. #}
{% macro is_touched_account(column, list='int_credit_accounts_touched') -%}
    {%- set accounts = listed_accounts(list) -%}
    {%- if is_rebuilding_every_account() -%}
        1 = 1
    {%- else -%}
        {{ is_one_of_accounts(column, accounts, list) }}
    {%- endif -%}
{%- endmacro %}


{# The same for data tests; all accounts when full_checks is set. #}
{% macro is_checked_account(column) -%}
    {%- set accounts = listed_accounts() -%}
    {%- if asked_for('full_checks') or is_rebuilding_every_account() -%}
        1 = 1
    {%- else -%}
        {{ is_one_of_accounts(column, accounts) }}
    {%- endif -%}
{%- endmacro %}


{# `column in ('…', …)`, false when the list is empty, a subquery when it is none. #}
{% macro is_one_of_accounts(column, accounts, list='int_credit_accounts_touched') -%}
    {%- if accounts is none -%}
        {{ column }} in (select account_id from {{ ref(list) }})
    {%- elif accounts | length == 0 -%}
        1 = 0
    {%- else -%}
        {{ column }} in ('{{ accounts | join("', '") }}')
    {%- endif -%}
{%- endmacro %}


{#
    A predicate that keeps the UTC days on which the touched accounts' events have to be read: those
    of days with a border of a segment in them. With many accounts these are nearly all days.
#}
{% macro is_cut_day(column) -%}
    {%- set segments = ref('int_credit_segments_cut') -%}
    {%- set accounts = listed_accounts() -%}
    {%- if is_rebuilding_every_account() or accounts is none or load_relation(segments) is none -%}
        1 = 1
    {%- else -%}
        {%- set days = run_query(
            'select distinct cast(' ~ add_days('cast(days.first_occurred_at as date)', 'further.days') ~ ' as varchar) as day'
            ~ ' from ' ~ ref('fct_usage_account_daily') ~ ' as days'
            ~ ' inner join ' ~ segments ~ ' as segments on days.account_id = segments.account_id'
            ~ ' and segments.starts_at > days.first_occurred_at and segments.starts_at <= days.last_occurred_at'
            ~ ' cross join (select 0 as days union all select 1 union all select 2 union all select 3) as further'
            ~ ' where ' ~ is_one_of_accounts('days.account_id', accounts)
            ~ ' and ' ~ add_days('cast(days.first_occurred_at as date)', 'further.days') ~ ' <= cast(days.last_occurred_at as date)'
            ~ ' order by 1'
        ).columns[0].values() | list -%}
        {{ is_one_of_days(column, days) }}
    {%- endif -%}
{%- endmacro %}
