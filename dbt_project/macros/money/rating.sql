{#
    What a rate card asks for one event, in credits: units times rate, before rounding. `event` and
    `card` are aliases in the query; a quantity the log does not give counts as zero here, and
    measured_credits() knows when that is not allowed.
#}
{% macro units_times_rates(event, card, prefix='') -%}
    (
        coalesce({{ card }}.{{ prefix }}call_credits, 0)
        + coalesce({{ event }}.execution_ms, 0) * cast(0.001 as decimal(4, 3)) * coalesce({{ card }}.{{ prefix }}second_credits, 0)
        + coalesce({{ event }}.input_tokens, 0) * coalesce({{ card }}.{{ prefix }}input_token_credits, 0)
        + coalesce({{ event }}.cache_read_tokens, 0) * coalesce({{ card }}.{{ prefix }}cache_read_token_credits, 0)
        + coalesce({{ event }}.cache_write_tokens, 0) * coalesce({{ card }}.{{ prefix }}cache_write_token_credits, 0)
        + coalesce({{ event }}.output_tokens, 0) * coalesce({{ card }}.{{ prefix }}output_token_credits, 0)
    )
{%- endmacro %}


{# Credits of one event: rounded once, half up, to nine decimals. #}
{% macro card_credits(event, card, prefix='') -%}
    cast({{ round_half_up(units_times_rates(event, card, prefix), 9) }} as decimal(18, 9))
{%- endmacro %}


{# Whether the log gives tokens of any kind. #}
{% macro has_tokens(event) -%}
    coalesce(
        {{ event }}.input_tokens, {{ event }}.cache_read_tokens, {{ event }}.cache_write_tokens, {{ event }}.output_tokens
    ) is not null
{%- endmacro %}


{# What the card asks for; null without a card, or if the log lacks a quantity it charges for. #}
{% macro measured_credits(event, card, prefix='') -%}
    case
        when
            {{ card }}.category is not null
            and (coalesce({{ card }}.{{ prefix }}second_credits, 0) = 0 or {{ event }}.execution_ms is not null)
            and (
                coalesce({{ card }}.{{ prefix }}input_token_credits, 0)
                + coalesce({{ card }}.{{ prefix }}cache_read_token_credits, 0)
                + coalesce({{ card }}.{{ prefix }}cache_write_token_credits, 0)
                + coalesce({{ card }}.{{ prefix }}output_token_credits, 0) = 0
                or {{ has_tokens(event) }}
            )
            then {{ card_credits(event, card, prefix) }}
    end
{%- endmacro %}
