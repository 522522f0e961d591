-- one row a line of the log, in the order of the table it reads
create or replace temp macro log_line(
    event_id, account_id, agent_id, category, model, occurred_at, execution_ms, credits,
    input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, status, session_id, request_hash,
    tags_text, revision, is_withdrawn
) as concat(
    '{"event_id":"', event_id,
    '","account_id":"', account_id,
    '","agent_id":"', agent_id,
    '","category":"', category,
    coalesce('","model":"' || model, ''),
    coalesce('","occurred_at":"' || strftime(occurred_at, '%Y-%m-%dT%H:%M:%S.%gZ'), ''),
    '","execution_ms":', execution_ms,
    coalesce(',"credits":' || rtrim(rtrim(cast(credits as varchar), '0'), '.'), ''),
    coalesce(',"input_tokens":' || input_tokens, ''),
    coalesce(',"cache_read_tokens":' || cache_read_tokens, ''),
    coalesce(',"cache_write_tokens":' || cache_write_tokens, ''),
    coalesce(',"output_tokens":' || output_tokens, ''),
    ',"status":"', status,
    coalesce('","session_id":"' || session_id, ''),
    coalesce('","request_hash":"' || request_hash, ''),
    '"', tags_text,
    case when revision > 0 then ',"revision":' || revision else '' end,
    case when is_withdrawn then ',"withdrawn":true' else '' end,
    '}'
);
