{# Fails when a column's total differs from that of the other model; runs with full_checks only. #}
{% test matches_total(model, of, column) %}

    with

    here as (

        select coalesce(sum({{ column }}), 0) as total
        from {{ model }}
        where {{ is_checked(none, true) }}

    ),

    there as (

        select coalesce(sum({{ column }}), 0) as total
        from {{ of }}
        where {{ is_checked(none, true) }}

    ),

    differing as (

        select
            here.total as total_here,
            there.total as total_there
        from here
        cross join there
        where here.total <> there.total

    )

    select * from differing

{% endtest %}
