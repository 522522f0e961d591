{#
    Fails on UTC days whose sums differ between this model and the one it was made from. `measures`
    maps a name to a pair of aggregates: of this model and of the other.
#}
{% test conserves(model, of, measures) %}

    with

    here as (

        select
            usage_date_utc,
            {% for name, pair in measures.items() %}
                {{ pair[0] }} as {{ name }}{{ ',' if not loop.last }}
            {% endfor %}
        from {{ model }}
        where {{ is_checked_day('usage_date_utc') }}
        group by usage_date_utc

    ),

    there as (

        select
            usage_date_utc,
            {% for name, pair in measures.items() %}
                {{ pair[1] }} as {{ name }}{{ ',' if not loop.last }}
            {% endfor %}
        from {{ of }}
        where {{ is_checked_day('usage_date_utc') }}
        group by usage_date_utc

    ),

    differing as (

        select
            coalesce(here.usage_date_utc, there.usage_date_utc) as usage_date_utc,
            {% for name in measures %}
                here.{{ name }} as {{ name }}_here,
                there.{{ name }} as {{ name }}_there{{ ',' if not loop.last }}
            {% endfor %}
        from here
        full outer join there
            on here.usage_date_utc = there.usage_date_utc
        where
            {% for name in measures %}
                coalesce(here.{{ name }}, 0) <> coalesce(there.{{ name }}, 0){{ ' or' if not loop.last }}
            {% endfor %}

    )

    select * from differing

{% endtest %}
