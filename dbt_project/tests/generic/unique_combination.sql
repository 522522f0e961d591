{#
    Fails on rows that share a key. `day_column` limits a refresh to its touched days; `nightly`
    leaves the test to runs over all history.
#}
{% test unique_combination(model, columns, day_column=none, nightly=false) %}

    select
        {{ columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    where {{ is_checked(day_column, nightly) }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

{% endtest %}
