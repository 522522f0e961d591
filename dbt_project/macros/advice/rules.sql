{# What makes a call avoidable or cheaper. `event` is an alias of events with prompt_tokens. #}

{# All tokens of the prompt, cached or not. #}
{% macro prompt_tokens_of(event) -%}
    coalesce({{ event }}.input_tokens, 0)
    + coalesce({{ event }}.cache_read_tokens, 0)
    + coalesce({{ event }}.cache_write_tokens, 0)
{%- endmacro %}


{# A call that a less capable model can answer: little in and little out, or an answer of a few words. #}
{% macro is_short_call(event) -%}
    (
        {{ event }}.status = 'ok'
        and {{ event }}.prompt_tokens > 0
        and coalesce({{ event }}.output_tokens, 0) > 0
        and (
            (
                {{ event }}.prompt_tokens <= {{ var('advice_short_prompt_tokens') }}
                and {{ event }}.output_tokens <= {{ var('advice_short_output_tokens') }}
            )
            or (
                {{ event }}.prompt_tokens <= {{ var('advice_simple_prompt_tokens') }}
                and {{ event }}.output_tokens <= {{ var('advice_simple_output_tokens') }}
            )
        )
    )
{%- endmacro %}


{# A call so small that it can be sent together with others. #}
{% macro is_small_call(event) -%}
    (
        {{ event }}.status = 'ok'
        and (
            (
                {{ event }}.prompt_tokens > 0
                and {{ event }}.prompt_tokens <= {{ var('advice_small_prompt_tokens') }}
                and coalesce({{ event }}.output_tokens, 0) <= {{ var('advice_small_output_tokens') }}
            )
            or (
                {{ event }}.prompt_tokens = 0
                and coalesce({{ event }}.output_tokens, 0) = 0
                and coalesce({{ event }}.execution_ms <= {{ var('advice_small_ms') }}, false)
            )
        )
    )
{%- endmacro %}


{#
    What tells that two requests are the same: the hash of the request; without one a guess, the shape
    of its tokens; null where the log gives neither.
#}
{% macro request_key(event) -%}
    case
        when {{ event }}.request_hash is not null then concat('hash ', {{ event }}.request_hash)
        when {{ event }}.prompt_tokens > 0 and {{ event }}.output_tokens > 0
            then concat('shape ', {{ event }}.prompt_tokens, ' ', {{ event }}.output_tokens)
    end
{%- endmacro %}


{#
    Windows over described events: how often the same request was answered before on its UTC day, and
    how often it was asked then.
#}
{% macro same_requests(event) -%}
    {% for column in ['account_id', 'agent_id', 'category', 'model', 'usage_date_utc', 'request_key'] -%}
        {{ event }}.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro answers_before(event) -%}
    coalesce(
        sum(case when {{ event }}.status = 'ok' then 1 else 0 end) over (
            partition by {{ same_requests(event) }}
            order by {{ event }}.occurred_at, {{ event }}.source, {{ event }}.event_id
            rows between unbounded preceding and 1 preceding
        ),
        0
    )
{%- endmacro %}

{% macro key_calls(event) -%}
    count(*) over (partition by {{ same_requests(event) }})
{%- endmacro %}


{# Whether an event asks again what was answered on its UTC day; a guess needs several of them. #}
{% macro is_repeated_call(event) -%}
    (
        {{ event }}.request_key is not null
        and {{ event }}.answers_before > 0
        and ({{ event }}.request_hash is not null or {{ event }}.key_calls >= {{ var('advice_shape_calls') }})
    )
{%- endmacro %}


{# List price of an event's tokens in US dollars; cached tokens without a price cost what input costs. #}
{% macro list_cost_usd(event, price) -%}
    (
        (
            coalesce({{ event }}.input_tokens, 0) * coalesce({{ price }}.input_usd_per_mtok, 0)
            + coalesce({{ event }}.cache_read_tokens, 0)
            * coalesce({{ price }}.cache_read_usd_per_mtok, {{ price }}.input_usd_per_mtok, 0)
            + coalesce({{ event }}.cache_write_tokens, 0)
            * coalesce({{ price }}.cache_write_usd_per_mtok, {{ price }}.input_usd_per_mtok, 0)
            + coalesce({{ event }}.output_tokens, 0) * coalesce({{ price }}.output_usd_per_mtok, 0)
        ) * cast(0.000001 as decimal(7, 6))
    )
{%- endmacro %}


{#
    What it spares to read the beginning of a prompt from the cache, in the unit of the card's or
    price's columns `<kind>_<suffix>`; writing into the cache may cost more than input does. Null where
    a cached token has no price.
#}
{% macro prefix_saving(event, price, suffix) -%}
    (
        {{ event }}.prefix_tokens * ({{ price }}.input_{{ suffix }} - {{ price }}.cache_read_{{ suffix }})
        - {{ event }}.written_tokens
        * (coalesce({{ price }}.cache_write_{{ suffix }}, {{ price }}.input_{{ suffix }}) - {{ price }}.input_{{ suffix }})
    )
{%- endmacro %}


{#
    What advice is measured by, before it was accepted and after: its scope, the units that go on
    whatever is done, and the quantity that should fall for each of them. The quantity is credits; of
    repeated requests it is calls, so that a change of price is not taken for a change of repeats.
    `event` is an alias of marked events, `advice` one of advice.
#}
{% macro is_in_scope(event, advice) -%}
    (
        {{ advice }}.kind = 'failures'
        or (
            {{ event }}.category = {{ advice }}.category
            and case {{ advice }}.kind
                when 'cheaper_model'
                    then {{ event }}.is_short and {{ event }}.model in ({{ advice }}.model, {{ advice }}.candidate_model)
                when 'repeated_requests'
                    then {{ event }}.model = {{ advice }}.model and {{ event }}.request_hash is not null
                when 'repeated_shapes'
                    then {{ event }}.model = {{ advice }}.model
                        and {{ event }}.request_hash is null
                        and {{ event }}.is_comparable
                when 'prompt_caching' then {{ event }}.model = {{ advice }}.model and {{ event }}.status = 'ok'
                when 'batching' then {{ event }}.model = {{ advice }}.model and {{ event }}.is_small
                else false
            end
        )
    )
{%- endmacro %}

{% macro units_of(event, advice) -%}
    case
        when {{ advice }}.kind = 'failures' then case when {{ event }}.status = 'ok' then 1 else 0 end
        when {{ advice }}.kind in ('repeated_requests', 'repeated_shapes')
            then case when {{ event }}.is_repeated then 0 else 1 end
        -- An output token costs about as much as five of input; a call without tokens is one unit.
        else greatest({{ event }}.prompt_tokens + 5 * coalesce({{ event }}.output_tokens, 0), 1)
    end
{%- endmacro %}

{% macro quantity_of(event, advice) -%}
    case
        when {{ advice }}.kind = 'failures'
            then case when {{ event }}.status = 'error' then {{ event }}.credits else 0 end
        when {{ advice }}.kind in ('repeated_requests', 'repeated_shapes') then 1
        else {{ event }}.credits
    end
{%- endmacro %}


{# Whether a saving of the days that advice looks at is worth telling. #}
{% macro is_worth_telling(saved, events, account_credits) -%}
    (
        {{ events }} >= {{ var('advice_min_events') }}
        and {{ saved }} * 30 >= {{ var('advice_min_credits') }} * {{ var('advice_days') }}
        and {{ saved }} >= {{ var('advice_min_share') }} * {{ account_credits }}
    )
{%- endmacro %}
