{# Fails on rows for which the expression is false or unknown. #}
{% test is_true(model, expression, column_name=none, day_column=none, nightly=false) %}

    select *
    from {{ model }}
    where
        {{ is_checked(day_column, nightly) }}
        and not coalesce({{ expression }}, false)

{% endtest %}
