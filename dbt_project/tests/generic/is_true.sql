{#
    Fails on rows for which the expression is false or unknown. `day_column` and `account_column`
    limit a refresh to what it touched.
#}
{% test is_true(model, expression, column_name=none, day_column=none, account_column=none, nightly=false) %}

    select *
    from {{ model }}
    where
        {{ is_checked(day_column, nightly) }}
        {% if account_column -%}
            and {{ is_checked_account(account_column) }}
        {%- endif %}
        and not coalesce({{ expression }}, false)

{% endtest %}
