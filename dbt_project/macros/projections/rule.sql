{# The rule by which usage is projected; docs/decisions/projection.md has the measurements. #}

{#
    The level of a weekday: what is expected of such a day. The mean of a median, of its last weeks,
    and of the mean of more of them without the highest and the lowest, so that one giant day moves
    it little and a new level shows soon. A weekday that is idle at least every second time has its
    mean. `total`, `highest`, `lowest`, `idle_days` and `days` are those of the longer span.
#}
{% macro projected_level(recent_median, total, highest, lowest, idle_days, days) -%}
    cast(
        case
            when 2 * {{ idle_days }} >= {{ days }} or {{ days }} < 3
                then cast({{ total }} as double) / {{ days }}
            else
                0.5 * cast({{ recent_median }} as double)
                + 0.5 * cast({{ total }} - {{ highest }} - {{ lowest }} as double) / ({{ days }} - 2)
        end
        as decimal(38, 9)
    )
{%- endmacro %}


{#
    How far the same days of the year before lay off what their levels let expect: half of it, as a
    root, and never more than a factor of two before that. 1 where that year is not known.
#}
{% macro seasonal_factor(actual, expected) -%}
    case
        when {{ expected }} > 0
            then sqrt(
                least(
                    greatest(cast({{ actual }} as double) / cast({{ expected }} as double), 0.5),
                    2.0
                )
            )
        else 1.0
    end
{%- endmacro %}


{#
    The relative width to either side where the own past cannot be replayed often enough: from the
    mean absolute deviation of a day, whose sum over `days` grows with the power 0.75. 1.6 of them
    hold 80 % of what deviates.
#}
{% macro deviating_spread(deviation, days, expected) -%}
    case
        when {{ expected }} > 0
            then
                1.6 * power(cast({{ days }} as double), 0.75)
                * cast({{ deviation }} as double) / cast({{ expected }} as double)
        else 0.0
    end
{%- endmacro %}


{# The same for a history too short for either: all of it in the first week, half of it after two. #}
{% macro thin_spread(history_days) -%}
    least(1.0, 7.0 / greatest({{ history_days }}, 1))
{%- endmacro %}


{# A part of an amount, rounded down to `scale` decimals: such parts never exceed the whole. #}
{% macro share_of(amount, share, scale) -%}
    {{ return(adapter.dispatch('share_of', 'meterhouse')(amount, share, scale)) }}
{%- endmacro %}

{% macro default__share_of(amount, share, scale) -%}
    cast(
        floor(cast({{ amount }} as double) * {{ share }} * 1e{{ scale }}) * 1e-{{ scale }}
        as decimal(38, {{ scale }})
    )
{%- endmacro %}
