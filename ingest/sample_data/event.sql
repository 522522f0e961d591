-- one row a chosen event: (local_day, agent_no, number) of the view chosen, which names cells of the plan
with placed as (
    select
        cell.*,
        chosen.number,
        cell.first_event_no + chosen.number as event_no,
        hash(getvariable('seed'), cell.first_event_no + chosen.number) as event_key,
        agent.account_id,
        agent.agent_id,
        agent.rhythm,
        agent.cancel_rate,
        agent.input_factor,
        agent.output_factor,
        agent.cache_share,
        agent.repeat_share,
        agent.digits,
        agent.price_factor,
        agent.tags_text,
        agent.calls_per_session,
        greatest(1, round(cell.event_count / agent.calls_per_session)) as sessions,
    from chosen
    inner join cell
        on chosen.local_day = cell.local_day
        and chosen.agent_no = cell.agent_no
    inner join agent
        on cell.agent_no = agent.agent_no
),
in_session as (
    select
        *,
        unit(event_key, 1) * sessions as place,
        floor(unit(event_key, 1) * sessions) as session_no,
        case
            when unit(event_key, 3) < repeat_share
                then hash(getvariable('seed'), agent_no, floor(pow(unit(event_key, 4), 2) * 60))
            else event_key
        end as request_key,
        unit(event_key, 5) as luck,
    from placed
),
in_day as (
    select
        *,
        from_part + (to_part - from_part) * (
            session_no
            + 0.3 * unit(hash(day_key, cast(session_no as bigint)), 2)
            + 0.7 * pow(place - session_no, 2)
        ) / sessions as day_part,
    from in_session
),
timed as (
    select
        in_day.*,
        mix_part.* exclude (period_no, part),
        least(
            greatest(
                date_trunc('millisecond', in_day.local_day + to_microseconds(cast(
                    (
                        from_second + (day_part * 256 - floor(day_part * 256)) * (to_second - from_second)
                        - offset_seconds
                    ) * 1e6 as bigint
                ))),
                cast(getvariable('start_at') as timestamp)
            ),
            cast(getvariable('until_at') as timestamp) - interval 1 millisecond
        ) as occurred_at,
        case
            when luck < in_day.failure_rate then 'error'
            when luck < in_day.failure_rate + cancel_rate then 'cancelled'
            else 'ok'
        end as status,
    from in_day
    inner join rhythm_part
        on in_day.rhythm = rhythm_part.rhythm
        and in_day.is_weekend = rhythm_part.is_weekend
        and cast(least(floor(in_day.day_part * 256), 255) as integer) = rhythm_part.part
    inner join mix_part
        on in_day.period_no = mix_part.period_no
        and cast(floor(unit(in_day.event_key, 2) * 100) as integer) = mix_part.part
),
sized as (
    select
        *,
        cast(round(input_tokens * input_factor * token_factor * exp(0.65 * normal(request_key, 6))) as bigint)
            as prompt_tokens,
        cast(round(output_tokens * output_factor * exp(0.6 * normal(event_key, 7)) * case status
            when 'ok' then 1.0 when 'cancelled' then 0.35 else 0.0
        end) as bigint) as written_tokens,
        case
            when credits_mtok_cache_read > 0 then cache_share * (0.55 + 0.6 * unit(event_key, 8))
            else 0.0
        end as cached_share,
        luck < failure_rate and unit(event_key, 9) < 0.6 as is_failed_without_credits,
    from timed
),
measured as (
    select
        *,
        cast(floor(prompt_tokens * least(cached_share, 0.92)) as bigint) as read_tokens,
        case
            when credits_mtok_cache_write > 0
                then cast(floor(prompt_tokens * least(cached_share, 0.92) * 0.08) as bigint)
            else 0
        end as kept_tokens,
        greatest(1, cast(round(
            execution_ms * exp(0.4 * normal(event_key, 10)) * case status
                when 'ok' then 1.0 when 'cancelled' then 0.6 else 0.45
            end
            + coalesce(written_tokens, 0) * ms_per_output_token * exp(0.2 * normal(event_key, 11))
        ) as bigint)) as took_ms,
    from sized
)
select
    event_no,
    lower(lpad(to_hex(hash(getvariable('identity'), event_no)), 16, '0')) as event_id,
    account_id,
    agent_id,
    category,
    model,
    occurred_at,
    took_ms as execution_ms,
    case
        when logs_credits and not is_failed_without_credits then cast(round(
            price_factor * (
                credits_call
                + credits_second * took_ms / 1000.0
                + (
                    coalesce(prompt_tokens - read_tokens - kept_tokens, 0) * credits_mtok_input
                    + coalesce(read_tokens, 0) * credits_mtok_cache_read
                    + coalesce(kept_tokens, 0) * credits_mtok_cache_write
                    + coalesce(written_tokens, 0) * credits_mtok_output
                ) / 1e6
            ),
            cast(digits as integer)
        ) as decimal(18, 9))
    end as credits,
    prompt_tokens - read_tokens - kept_tokens as input_tokens,
    case when prompt_tokens is not null and credits_mtok_cache_read > 0 then read_tokens end as cache_read_tokens,
    case when prompt_tokens is not null and credits_mtok_cache_write > 0 then kept_tokens end as cache_write_tokens,
    written_tokens as output_tokens,
    status,
    case
        when calls_per_session > 1 and not getvariable('is_lean')
            then lower(left(to_hex(hash(day_key, cast(session_no as bigint), 1)), 10))
    end as session_id,
    case
        when repeat_share > 0 and category in ('llm', 'text', 'image') and not getvariable('is_lean')
            then lower(left(to_hex(hash(request_key, category, model)), 12))
    end as request_hash,
    case when getvariable('is_lean') then '' else tags_text end as tags_text,
    logs_credits,
from measured
