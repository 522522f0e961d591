{#
    What is usual for a day, and above what it is a spike: the one rule for every scope.

    Usage is laid out by weeks: one row a series and a week in which it was used, its days side by
    side (`day_1` is Monday). So a seventh of the rows is sorted, and all that a day is compared
    with stands in its row.
#}

{# Seven sums, one a day of the week: the columns day_1 to day_7. #}
{% macro spread_over_week(usage_date, amount) -%}
    {%- for day in range(1, 8) %}
        coalesce(sum(case when {{ iso_weekday(usage_date) }} = {{ day }} then {{ amount }} end), 0) as day_{{ day }}
        {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{# The Monday of a date's week. #}
{% macro week_of(usage_date) -%}
    {{ add_days(usage_date, '1 - ' ~ iso_weekday(usage_date)) }}
{%- endmacro %}


{# The second highest of two and more amounts: of two halves, the lower of their highest or the second of one. #}
{% macro second_highest(amounts) -%}
    {%- set half = amounts | length // 2 -%}
    {%- set left, right = amounts[:half], amounts[half:] -%}
    greatest(
        least(greatest({{ left | join(', ') }}), greatest({{ right | join(', ') }}))
        {%- for side in [left, right] if side | length > 1 %}, {{ second_highest(side) }}{% endfor -%}
    )
{%- endmacro %}


{#
    A subquery with one row a day of the weeks of `weeks`, a relation with the columns account_id,
    scope, scope_id, week_start and day_1 to day_7. Columns: those, usage_date, credits, and of the
    eight weeks before in which the series was used

    - weeks_before: how many there are within spike_reach_weeks, first_week: the Monday of the first
    - median_credits, second_credits: median and second highest of the same weekday
    - level_credits: the mean day
    - trend: median, over the seven days before, of their credits ÷ the median of their weekday, 1
      of a weekday that is mostly unused

    all null with fewer than spike_min_points weeks. `only_candidates` leaves out most days that can
    be no spike.
#}
{% macro weeks_compared(weeks, only_candidates=false) -%}
    {%- set count = var('spike_weeks') | int -%}
    {%- set befores = range(1, count + 1) -%}
    (
        with

        doubled as (
            select
                account_id,
                scope,
                scope_id,
                week_start,
                {% for day in range(1, 8) %}
                    day_{{ day }} as credits_{{ day }},
                    cast(day_{{ day }} as double) as day_{{ day }}{{ ',' if not loop.last }}
                {% endfor %}
            from {{ weeks }}
        ),

        lagged as (
            select
                doubled.*,
                {% for before in befores %}
                    lag(week_start, {{ before }}) over series as week_{{ before }},
                    {% for day in range(1, 8) %}
                        lag(day_{{ day }}, {{ before }}) over series as lag_{{ day }}_{{ before }}{{ ',' if not loop.last }}
                    {% endfor %}
                    {{ ',' if not loop.last }}
                {% endfor %}
            from doubled
            window series as (partition by account_id, scope, scope_id order by week_start)
        ),

        -- -1 where there is no such week, or too long ago
        reached as (
            select
                account_id,
                scope,
                scope_id,
                week_start,
                {% for day in range(1, 8) %}
                    credits_{{ day }},
                    day_{{ day }},
                    {% for before in befores %}
                        case when {{ is_in_reach(before) }} then lag_{{ day }}_{{ before }} else -1 end as day_{{ day }}_{{ before }},
                    {% endfor %}
                {% endfor %}
                {% for before in befores %}
                    case when {{ is_in_reach(before) }} then 1 else 0 end{{ ' + ' if not loop.last }}
                {%- endfor %} as weeks_before,
                least(
                    {% for before in befores %}
                        case when {{ is_in_reach(before) }} then week_{{ before }} end{{ ',' if not loop.last }}
                    {% endfor %}
                ) as first_week
            from lagged
        ),

        ranked as (
            select
                reached.*,
                {% for day in range(1, 8) %}
                    {{ second_highest(numbered('day_' ~ day ~ '_', count)) }} as second_{{ day }}{{ ',' if not loop.last }}
                {% endfor %}
            from reached
        ),

        {# What a day must be at least to be a spike, without medians: few days pass. #}
        kept as (
            select *
            from ranked
            where
                {% if only_candidates %}
                    weeks_before >= {{ var('spike_min_points') }}
                    and (
                        {% for day in range(1, 8) %}
                            {{ is_candidate(day) }}{{ ' or' if not loop.last }}
                        {% endfor %}
                    )
                {% else %}
                    1 = 1
                {% endif %}
        ),

        middled as (
            select
                kept.*,
                {% for day in range(1, 8) %}
                    {{ median_of(known('day_' ~ day ~ '_', count)) }} as median_{{ day }},
                {% endfor %}
                (
                    {% for day in range(1, 8) %}
                        {% for before in befores %}
                            greatest(day_{{ day }}_{{ before }}, 0){{ ' +' if not loop.last }}
                        {% endfor %}
                        {{ '+' if not loop.last }}
                    {% endfor %}
                ) / nullif(7.0 * weeks_before, 0) as level
            from kept
        ),

        compared as (
            {% for day in range(1, 8) %}
                select
                    account_id,
                    scope,
                    scope_id,
                    {{ add_days('week_start', day - 1) }} as usage_date,
                    credits_{{ day }} as credits,
                    weeks_before,
                    first_week,
                    median_{{ day }} as median_credits,
                    second_{{ day }} as second_credits,
                    level as level_credits,
                    {{ median_of(trend_ratios(day)) }} as trend
                from middled
                {% if only_candidates %}
                    where {{ is_candidate(day) }}
                {% endif %}
                {{ 'union all' if not loop.last }}
            {% endfor %}
        )

        select
            account_id,
            scope,
            scope_id,
            usage_date,
            credits,
            weeks_before,
            first_week,
            {% for column in ['median_credits', 'second_credits', 'level_credits', 'trend'] %}
                case when weeks_before >= {{ var('spike_min_points') }} then {{ column }} end as {{ column }}{{ ',' if not loop.last }}
            {% endfor %}
        from compared
    )
{%- endmacro %}


{# Of a day of the laid out week: whether it may be a spike. #}
{% macro is_candidate(day) -%}
    (day_{{ day }} > {{ var('spike_min_credits') }} and day_{{ day }} > {{ var('spike_ratio') }} * second_{{ day }})
{%- endmacro %}


{# Of the laid out week: whether there is such a week before, not too long ago. #}
{% macro is_in_reach(before) -%}
    coalesce(week_{{ before }} >= {{ add_days('week_start', '-7 * ' ~ var('spike_reach_weeks')) }}, false)
{%- endmacro %}


{# `prefix1`, `prefix2`, …, null where they are -1. #}
{% macro known(prefix, count) -%}
    {%- set names = [] -%}
    {%- for name in numbered(prefix, count) -%}
        {%- do names.append('nullif(' ~ name ~ ', -1)') -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}


{# `prefix1`, `prefix2`, … #}
{% macro numbered(prefix, count) -%}
    {%- set names = [] -%}
    {%- for number in range(1, count + 1) -%}
        {%- do names.append(prefix ~ number) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}


{# The seven days before a day of the laid out week, each ÷ the median of its weekday; 1 where that is 0. #}
{% macro trend_ratios(day) -%}
    {%- set ratios = [] -%}
    {%- for other in range(1, 8) -%}
        {%- set amount = 'day_' ~ other if other < day else 'day_' ~ other ~ '_1' -%}
        {%- do ratios.append('coalesce(' ~ amount ~ ' / nullif(median_' ~ other ~ ', 0), 1)') -%}
    {%- endfor -%}
    {{ return(ratios) }}
{%- endmacro %}


{# What a compared day was expected to be, in credits. #}
{% macro expected_credits(day) -%}
    {{ day }}.median_credits * greatest({{ day }}.trend, 1)
{%- endmacro %}


{#
    Credits above which a compared day is a spike; docs/semantics.md explains each part.
    `account_level` is the mean day of the account, which a rise is measured against as well.
#}
{% macro high_credits(day, account_level) -%}
    greatest(
        {{ var('spike_ratio') }} * {{ day }}.second_credits * greatest({{ day }}.trend, 1),
        {{ expected_credits(day) }} + {{ var('spike_min_share') }} * {{ day }}.level_credits,
        {{ expected_credits(day) }} + {{ var('spike_account_share') }} * coalesce({{ account_level }}, 0),
        {{ expected_credits(day) }} + {{ var('spike_min_credits') }}
    )
{%- endmacro %}
