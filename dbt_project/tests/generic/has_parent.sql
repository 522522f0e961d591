{# Fails on values that the other model does not know; null has no parent and passes. #}
{% test has_parent(model, column_name, to, field, day_column=none, nightly=false) %}

    select distinct child.{{ column_name }}
    from {{ model }} as child
    left join {{ to }} as parent
        on child.{{ column_name }} = parent.{{ field }}
    where
        {{ is_checked('child.' ~ day_column if day_column else none, nightly) }}
        and child.{{ column_name }} is not null
        and parent.{{ field }} is null

{% endtest %}
