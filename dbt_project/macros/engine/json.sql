{# A field of a JSON object as text; null without it. #}
{% macro json_text(document, field) -%}
    {{ return(adapter.dispatch('json_text', 'meterhouse')(document, field)) }}
{%- endmacro %}

{% macro duckdb__json_text(document, field) -%}
    json_extract_string({{ document }}, '$.{{ field }}')
{%- endmacro %}


{# A JSON object as text: `fields` are names and expressions, in their order. #}
{% macro json_object_of(fields) -%}
    {{ return(adapter.dispatch('json_object_of', 'meterhouse')(fields)) }}
{%- endmacro %}

{% macro duckdb__json_object_of(fields) -%}
    cast(json_object(
        {%- for name, expression in fields.items() -%}
            '{{ name }}', {{ expression }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    ) as varchar)
{%- endmacro %}
