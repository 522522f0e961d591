"""A small published lake with the reporting models filled by SQL: the app's test bed, without dbt.

Everything follows from ``TODAY`` and a seed, so two lakes are equal. Accounts: ``acme`` (every
category, spikes, three months), ``tokyo`` (unrated usage and an unknown model), ``mallory`` (every
text hostile), ``idle`` (declared, never used). ``python -m tests.app.reporting_lake FOLDER`` makes
one to look at.
"""

import sys
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from billing.accounts import add_account
from billing.grants import grant
from billing.invoices.closing import close
from billing.invoices.notes import credit_note
from billing.invoices.parties import add_tax_rate, set_issuer, set_profile
from billing.invoices.rendering import render_missing
from billing.packages import add_sample_offers
from billing.store import open_store
from ingest.tables import ensure_tables
from warehouse.lake import Connection, current_snapshot, writing
from warehouse.publication import CheckResult, Publication, publish, record_checks
from warehouse.settings import Settings

NOW = datetime(2026, 11, 23, 14, 12, tzinfo=UTC)
TODAY = NOW.date()
RAW_LOAD_ID = 7
HOSTILE = "<script>alert(1)</script> $5 and $6 **bold** [x](http://evil.example) `c` :red[r]"

_ACCOUNTS = """
create temp table account as
select * from (values
    ('acme', 'Acme Robotics', 'Europe/Berlin', 'EUR', 'team', date '2026-08-14', 1.0),
    ('tokyo', 'Tokyo Translators', 'Asia/Tokyo', 'JPY', 'starter', date '2026-10-05', 0.2),
    ('mallory', $hostile, 'UTC', 'USD', 'starter', date '2026-11-02', 0.05),
    ('idle', 'Idle Instruments', 'America/New_York', 'USD', 'starter', null, 0.0)
) as t(account_id, name, time_zone, currency, plan, first_usage_date, weight);
"""

_CATEGORIES = """
create temp table category as
select * from (values
    ('llm', 'Language models', 1, 41.0), ('sql', 'SQL', 2, 7.0), ('text', 'Text', 3, 9.5),
    ('document', 'Documents', 4, 14.0), ('image', 'Images', 5, 11.0), ('video', 'Video', 6, 8.0),
    ('sound', 'Sound', 7, 4.5), ('music', 'Music', 8, 2.0)
) as t(category, label, sort_order, weight);
"""

_MODELS = """
create temp table model as
select * from (values
    ('claude-opus-4-6', 'Claude Opus 4.6', 'anthropic', true, 9.0, 0.16),
    ('gpt-5.2', 'GPT 5.2', 'openai', true, 5.5, 0.22),
    ('claude-sonnet-4-5', 'Claude Sonnet 4.5', 'anthropic', true, 4.2, 0.25),
    ('gemini-3-pro-preview', 'Gemini 3 Pro', 'google', true, 3.6, 0.12),
    ('azure/DeepSeek-V3.2', 'DeepSeek V3.2', 'azure', true, 0.5, 0.14),
    ('gpt-5-mini', 'GPT 5 Mini', 'openai', true, 0.7, 0.08),
    ('house-blend-7b', null, null, false, null, 0.03)
) as t(model, model_name, provider, is_priced, usd_per_mtok, weight);
"""

_AGENTS = """
create temp table agent as
select 'acme' as account_id, unnest(['research-agent', 'invoice-reader', 'support-copilot',
    'sql-analyst', 'video-cutter', 'translator', 'qa-tester', 'sales-briefing',
    'contract-checker', 'podcast-maker']) as agent_id,
    unnest([24, 17, 15, 12, 10, 8, 6, 4, 3, 1]) as weight
union all select 'tokyo', 'honyaku', 60 union all select 'tokyo', 'kiku', 40
union all select 'mallory', $hostile, 70 union all select 'mallory', '" onmouseover="x()', 30;
"""

# A daily value with a weekly rhythm, slow growth, noise from a hash, and three spikes of acme.
_USAGE = """
create temp table day as
select
    account_id, time_zone, cast(d as date) as usage_date,
    round(weight * 46
        * (case when isodow(d) >= 6 then 0.42 else 1.0 end)
        * (1 + 0.003 * date_diff('day', first_usage_date, cast(d as date)))
        * (0.92 + 0.16 * (hash(account_id || cast(d as varchar)) % 1000) / 1000.0)
        * (case when account_id = 'acme' and cast(d as date) in
            (date '2026-10-14', date '2026-11-06', date '2026-11-17') then 2.4 else 1 end)
        * (case when cast(d as date) = $today then 0.55 else 1 end), 6) as level
from account, generate_series(first_usage_date, $today, interval 1 day) as s(d)
where first_usage_date is not null;

create temp table usage as
select
    day.account_id, usage_date, cast(date_trunc('month', usage_date) as date) as month,
    agent_id, category.category, label, sort_order, model.model, model_name, provider, is_priced,
    cast(level * agent.weight / 100 * category.weight / 97 * model.weight
        * (case when category.category = 'llm' then 1 else 4.5 end) as decimal(18, 9)) as credits,
    cast(ceil(level * agent.weight * category.weight * model.weight / 300) as bigint) as events,
    cast(level * model.weight * agent.weight * 900 as bigint) as tokens,
    usd_per_mtok
from day
inner join agent on agent.account_id = day.account_id
cross join category
cross join model
where (category.category = 'llm' or model.model = 'gpt-5.2')
    and (hash(agent_id || category.category || model.model) % 3 > 0 or category.category = 'llm');
"""

_REPORTING = """
create schema if not exists marts.main;

create table marts.main.rpt_account as
select account_id, name, time_zone, currency, plan, first_usage_date,
    case when first_usage_date is not null then $today end as last_usage_date,
    case when first_usage_date is not null
        then cast(date_trunc('month', $today) as date) end as last_month
from account;

create table marts.main.rpt_overview_daily as
with daily as (
    select account_id, month, usage_date, cast(sum(credits) as decimal(38, 9)) as credits,
        cast(sum(events) as bigint) as events, cast(sum(events) // 40 as bigint) as failed_events
    from usage group by all
), usual as (
    select *, cast(median(credits) over (
        partition by account_id, isodow(usage_date) order by usage_date
        rows between 8 preceding and 1 preceding) as decimal(38, 9)) as expected_credits
    from daily
), judged as (
    select *, cast(expected_credits * 1.45 as decimal(38, 9)) as high_credits,
        coalesce(credits > expected_credits * 1.45, false) as is_high
    from usual
)
select account_id, month, usage_date, credits, events, failed_events, expected_credits,
    high_credits, is_high and usage_date <> date '2026-10-14' as is_spike,
    is_high and usage_date = date '2026-10-14' as is_expected,
    case when is_high then usage_date end as incident_date
from judged;

-- The spikes of acme each have a cause of their own; mallory's agent is hostile.
create table marts.main.rpt_insights_incident as
with high as (
    select account_id, usage_date, credits, expected_credits,
        credits - expected_credits as excess
    from marts.main.rpt_overview_daily where incident_date is not null
), shared as (
    select high.*, case usage_date when date '2026-11-06' then 'errors'
            when date '2026-11-17' then 'mix' else 'volume' end as cause,
        cast(round(excess * 0.2, 9) as decimal(38, 9)) as fifth
    from high
    where account_id = 'acme'
    union all
    select 'mallory', date '2026-11-20', 9, 2, 7, 'volume', 1.4
)
select account_id, usage_date as first_date, usage_date as last_date, cast(1 as bigint) as days,
    usage_date = date '2026-10-14' as is_expected,
    case when usage_date = date '2026-10-14' then 'Trade fair' end as expected_reason, cause,
    'account' as scope, account_id as scope_id,
    case when cause = 'mix' then 'model' else 'agent' end as driver,
    case when account_id = 'mallory' then $hostile when cause = 'mix' then 'claude-opus-4-6'
        else 'research-agent' end as driver_id,
    cast(case cause when 'errors' then 6.2 when 'mix' then 3.1 else 1.2 end as decimal(18, 2))
        as severity,
    cast(credits as decimal(38, 9)) as credits,
    cast(expected_credits as decimal(38, 9)) as expected_credits,
    cast(excess as decimal(38, 9)) as excess_credits,
    cast(case when cause = 'volume' then excess - fifth else 2 * fifth end as decimal(38, 9))
        as volume_credits,
    cast(fifth as decimal(38, 9)) as size_credits,
    cast(case when cause = 'mix' then -fifth else 0 end as decimal(38, 9)) as price_credits,
    cast(case when cause = 'mix' then excess - 2 * fifth else 0 end as decimal(38, 9))
        as mix_credits,
    cast(0 as decimal(38, 9)) as new_agent_credits,
    cast(case when cause = 'errors' then excess - 3 * fifth else 0 end as decimal(38, 9))
        as error_credits
from shared;

create table marts.main.rpt_overview_month as
with monthly as (
    select account_id, month, cast(sum(credits) as decimal(38, 9)) as credits,
        cast(sum(events) as bigint) as events, cast(sum(events) // 40 as bigint) as failed_events,
        cast(sum(tokens) as bigint) as total_tokens,
        cast(sum(tokens * usd_per_mtok / 1e6) as decimal(38, 12)) as provider_cost_usd,
        cast(coalesce(sum(events) filter (where not is_priced), 0) as bigint) as unpriced_events
    from usage group by all
), timed as (
    select *, month = cast(date_trunc('month', $today) as date) as is_current,
        cast(date_diff('day', month, month + interval 1 month) as integer) as days_in_month
    from monthly
)
select timed.account_id, timed.month, credits, events, failed_events,
    cast(case when account_id = 'tokyo' then 312 else 0 end as bigint) as unrated_events,
    cast(case when account_id = 'tokyo' then 3.2 else 0 end as decimal(38, 9))
        as exposure_low_credits,
    cast(case when account_id = 'tokyo' then 18.4 else 0 end as decimal(38, 9))
        as exposure_high_credits,
    total_tokens, provider_cost_usd, unpriced_events,
    (select before.credits from timed as before where before.account_id = timed.account_id
        and before.month = timed.month - interval 1 month) as previous_credits,
    (select cast(sum(u.credits) as decimal(38, 9)) from usage as u
        where u.account_id = timed.account_id
        and u.month = timed.month - interval 1 month
        and (not is_current or day(u.usage_date) <= day($today))) as previous_credits_to_date,
    days_in_month,
    cast(case when is_current then day($today) - 0.4083 else days_in_month end as decimal(10, 4))
        as elapsed_days,
    not is_current as is_complete,
    cast(case when is_current then credits / (day($today) - 0.4083) * days_in_month
        else credits end as decimal(38, 9)) as projected_credits,
    case when is_current then cast(projected_credits - 0.1 * (projected_credits - credits)
        as decimal(38, 9)) end as projected_low_credits,
    case when is_current then cast(projected_credits + 0.1 * (projected_credits - credits)
        as decimal(38, 9)) end as projected_high_credits,
    case when is_current then cast(provider_cost_usd * 1.3 as decimal(38, 12)) end
        as projected_cost_usd,
    cast(projected_cost_usd * 0.95 as decimal(38, 12)) as projected_low_cost_usd,
    cast(projected_cost_usd * 1.05 as decimal(38, 12)) as projected_high_cost_usd,
    case when is_current then cast(case account_id when 'mallory' then 9 else 60 end as integer) end
        as history_days,
    case when is_current then account_id = 'mallory' end as is_thin,
    case when is_current and account_id = 'acme' then date '2026-12-20' end as run_out_date,
    case when is_current and account_id = 'acme' then date '2026-12-16' end
        as earliest_run_out_date,
    case when is_current and account_id = 'acme' then date '2026-12-27' end as latest_run_out_date
from timed;

create table marts.main.rpt_overview_projection_daily as
with path as (
    select account_id, month, cast(d as date) as usage_date, credits,
        (projected_credits - credits) / date_diff('day', $today, last_day(month) + 1) as each,
        date_diff('day', $today, cast(d as date)) + 1 as days
    from marts.main.rpt_overview_month,
    lateral (select unnest(generate_series($today, last_day(month), interval 1 day)) as d)
    where not is_complete
)
select account_id, month, usage_date, cast(each as decimal(38, 9)) as expected_credits,
    cast(credits + each * days as decimal(38, 9)) as projected_credits,
    cast(credits + each * days * 0.9 as decimal(38, 9)) as projected_low_credits,
    cast(credits + each * days * 1.1 as decimal(38, 9)) as projected_high_credits
from path;

create table marts.main.rpt_insights_projection as
with part as (
    select account_id, month, 'account' as scope, '' as part, sum(credits) as credits,
        sum(tokens * usd_per_mtok / 1e6) as usd from usage group by all
    union all
    select account_id, month, 'category', category, sum(credits), sum(tokens * usd_per_mtok / 1e6)
    from usage group by all
    union all
    select account_id, month, 'model', model, sum(credits), sum(tokens * usd_per_mtok / 1e6)
    from usage group by all
    union all
    select account_id, month, 'agent', agent_id, sum(credits), sum(tokens * usd_per_mtok / 1e6)
    from usage group by all
)
select account_id, month, scope, part, $today as projected_on,
    cast(case account_id when 'mallory' then 9 else 60 end as integer) as history_days,
    account_id = 'mallory' as is_thin,
    case when account_id = 'mallory' then 'thin' when scope = 'account' then 'replays'
        else 'deviation' end as interval_basis,
    cast(0.1 as double) as spread, cast(credits as decimal(38, 9)) as credits,
    cast(credits * 1.3 as decimal(38, 9)) as projected_credits,
    cast(credits * 1.2 as decimal(38, 9)) as projected_low_credits,
    cast(credits * 1.4 as decimal(38, 9)) as projected_high_credits,
    cast(credits / sum(credits) over (partition by account_id, scope) as decimal(9, 6)) as share,
    cast(usd as decimal(38, 12)) as provider_cost_usd,
    cast(usd * 1.3 as decimal(38, 12)) as projected_cost_usd,
    cast(usd * 1.2 as decimal(38, 12)) as projected_low_cost_usd,
    cast(usd * 1.4 as decimal(38, 12)) as projected_high_cost_usd
from part where month = date_trunc('month', $today);

create table marts.main.rpt_insights_backtest as
select 'acme' as account_id, cast(m as date) as month, cast(elapsed as integer) as elapsed_days,
    cast(24 as integer) as replays, cast(100 * elapsed as decimal(38, 9)) as credits,
    cast(3000 + month(m) * 10 as decimal(38, 9)) as actual_credits,
    cast(3000 as decimal(38, 9)) as projected_credits,
    cast(2900 as decimal(38, 9)) as projected_low_credits,
    cast(3100 as decimal(38, 9)) as projected_high_credits,
    cast(3300 as decimal(38, 9)) as run_rate_credits,
    cast(month(m) * 10 / (3000 + month(m) * 10) as decimal(18, 9)) as error_share,
    month(m) <= 10 as is_inside
from generate_series(date '2025-11-01', date '2026-10-01', interval 1 month) as months (m),
(values (3), (10), (20)) as after (elapsed);

create table marts.main.rpt_overview_category as
select account_id, month, category, any_value(label) as label,
    any_value(sort_order) as sort_order, cast(sum(credits) as decimal(38, 9)) as credits,
    cast(sum(credits) / sum(sum(credits)) over (partition by account_id, month)
        as decimal(9, 6)) as share,
    cast(sum(events) as bigint) as events, cast(0 as bigint) as unrated_events
from usage group by account_id, month, category;

create table marts.main.rpt_overview_model as
select account_id, month, model, any_value(model_name) as model_name,
    any_value(provider) as provider, bool_and(is_priced) as is_priced,
    cast(sum(credits) as decimal(38, 9)) as credits,
    cast(sum(credits) / sum(sum(credits)) over (partition by account_id, month)
        as decimal(9, 6)) as share,
    cast(sum(events) as bigint) as events, cast(0 as bigint) as unrated_events,
    cast(sum(tokens) as bigint) as total_tokens,
    cast(sum(tokens * usd_per_mtok / 1e6) as decimal(38, 12)) as provider_cost_usd,
    cast(sum(credits) * 1000000 / sum(tokens) as decimal(38, 9)) as credits_per_mtok
from usage group by account_id, month, model;

create table marts.main.rpt_overview_agent as
select account_id, month, agent_id, cast(sum(credits) as decimal(38, 9)) as credits,
    cast(sum(credits) / sum(sum(credits)) over (partition by account_id, month)
        as decimal(9, 6)) as share,
    cast(sum(events) as bigint) as events, cast(0 as bigint) as unrated_events,
    cast(sum(events) // 40 as bigint) as failed_events,
    max(cast(usage_date as timestamp) + interval 13 hour) as last_used_at
from usage group by account_id, month, agent_id;

create table marts.main.rpt_overview_agent_daily as
select account_id, agent_id, usage_date, cast(sum(credits) as decimal(38, 9)) as credits,
    cast(sum(events) as bigint) as events
from usage group by account_id, agent_id, usage_date;

create table marts.main.rpt_freshness as
select $now as as_of, $now - interval 4 minute as newest_event_at,
    cast($load as bigint) as raw_load_id;

create table marts.main.rpt_data_health_source as
select * from (values
    ('meterhouse', cast(98311 as bigint), $now - interval 4 minute, $now, cast(0 as bigint)),
    ('claude_code', 1204, timestamp '2026-11-20 18:02:11', timestamp '2026-11-20 19:00:00', 3),
    ('exgentic', 1478, timestamp '2026-04-21 09:41:00', timestamp '2026-11-18 08:00:00', 0)
) as t(source, events, newest_event_at, last_loaded_at, missing_days);

create table marts.main.rpt_data_health_day as
select 'meterhouse' as source, cast(d as date) as usage_date_utc,
    cast(700 + hash(d) % 400 as bigint) as events
from generate_series(date '2026-09-01', $today, interval 1 day) as s(d)
union all
select 'claude_code', cast(d as date), cast(hash(d) % 60 as bigint)
from generate_series(date '2026-11-01', date '2026-11-20', interval 1 day) as s(d)
where day(d) not in (8, 9, 15);
"""

# Events that add up to the sums above, and tokyo's unrated ones beside them.
_EVENTS = """
create temp table operation as
select *, row_number() over () as line_number from (
    select usage.account_id, time_zone, usage_date, agent_id, category, model, usd_per_mtok, part,
        cast(floor(cast(credits as double) * 1e8 / events) / 1e8 as decimal(18, 9)) as each,
        credits, events, greatest(tokens // events, 4) as tokens
    from usage
    inner join account on account.account_id = usage.account_id,
    lateral (select unnest(generate_series(0, events - 1)) as part)
    union all
    select 'tokyo', 'Asia/Tokyo', date '2026-11-02' + cast(i % 20 as integer), 'honyaku', 'llm',
        'house-blend-7b', null, i, null, null, null, 900
    from generate_series(0, 311) as s(i)
);

create table marts.main.rpt_usage_event as
with timed as (
    select *, timezone('UTC', timezone(time_zone, cast(usage_date as timestamp)
        + to_seconds(cast(hash(line_number) % 40000 as integer)))) as occurred_at,
        hash(line_number, 'x') % 100 as chance
    from operation
), costed as (
    select *,
        cast(case when part = 0 then credits - each * (events - 1) else each end
            as decimal(18, 9)) as own
    from timed
)
select
    'meterhouse' as source, 'ev-' || line_number as event_id, cast(0 as bigint) as revision,
    cast(case when usage_date < $today then 5 else 7 end as bigint) as load_id, line_number,
    account_id, agent_id, 's-' || line_number // 20 as session_id,
    case when chance < 30 then md5(cast(line_number // 3 as varchar)) end as request_hash,
    category, model,
    case when own is null then 'ok' when chance < 2 then 'error' when chance = 2 then 'cancelled'
        else 'ok' end as status,
    case when own is null then 'unrated' when chance between 10 and 20 then 'rated'
        else 'logged' end as rating_status,
    case when usd_per_mtok is null then 'unknown_model' else 'priced' end as provider_cost_status,
    case when account_id = 'mallory' then json_object('team', $hostile)
        when chance < 60 then json_object(
            'team', case when chance < 25 then 'blue' else 'green' end, 'env', 'prod'
        ) end::varchar as tags,
    case when chance <> 50
        then cast(40 + hash(line_number, 'ms') % 9000 as decimal(18, 3)) end as execution_ms,
    case when chance not between 10 and 20 then own end as logged_credits,
    case when chance between 10 and 20 then own end as card_credits,
    own as credits,
    cast(case when own is null then 0.01 end as decimal(18, 9)) as exposure_low_credits,
    cast(case when own is null then 0.06 end as decimal(18, 9)) as exposure_high_credits,
    tokens // 2 as input_tokens, tokens // 4 as cache_read_tokens, cast(0 as bigint)
        as cache_write_tokens,
    tokens // 4 as output_tokens, tokens // 2 + 2 * (tokens // 4) as total_tokens,
    cast(tokens * usd_per_mtok / 1e6 as decimal(24, 12)) as provider_cost_usd,
    cast(occurred_at as date) as usage_date_utc, usage_date, occurred_at
from costed;

create table marts.main.rpt_usage_event_detail as
select event.*,
    'file' as load_kind, load.path as load_path, load.finished_at as loaded_at,
    cast(null as varchar) as card_model, timestamp '2026-01-01' as card_starts_at,
    cast(0.01 as decimal(24, 12)) as call_credits, cast(null as decimal(24, 12)) as second_credits,
    cast(0.000002 as decimal(24, 12)) as input_token_credits,
    cast(0.0000002 as decimal(24, 12)) as cache_read_token_credits,
    cast(null as decimal(24, 12)) as cache_write_token_credits,
    cast(0.00001 as decimal(24, 12)) as output_token_credits,
    case when provider_cost_usd is not null then 'openai' end as price_provider,
    case when provider_cost_usd is not null then model end as price_model,
    case when provider_cost_usd is not null then '0.2.3' end as price_release,
    case when provider_cost_usd is not null then timestamp '2026-05-01' end as price_starts_at,
    case when provider_cost_usd is not null then cast(0 as bigint) end as price_tier_start,
    cast(case when provider_cost_usd is not null then 2.5 end as decimal(24, 12))
        as input_usd_per_mtok,
    cast(case when provider_cost_usd is not null then 0.25 end as decimal(24, 12))
        as cache_read_usd_per_mtok,
    cast(case when provider_cost_usd is not null then 2.5 end as decimal(24, 12))
        as cache_write_usd_per_mtok,
    cast(case when provider_cost_usd is not null then 10 end as decimal(24, 12))
        as output_usd_per_mtok
from marts.main.rpt_usage_event as event
left join (values
    (5, '/landing/meterhouse/usage-2026-11-22.ndjson.zst', timestamp '2026-11-23 00:05:04'),
    (7, '/landing/meterhouse/usage-2026-11-23.ndjson', $now)
) as load(load_id, path, finished_at) on load.load_id = event.load_id;

create table marts.main.rpt_usage_daily as
select account_id, cast(date_trunc('month', usage_date) as date) as month, usage_date, agent_id,
    category, model, status, count(*) as events,
    count(*) filter (where rating_status = 'unrated') as unrated_events,
    cast(coalesce(sum(credits), 0) as decimal(38, 9)) as credits,
    cast(sum(total_tokens) as bigint) as total_tokens,
    cast(coalesce(sum(execution_ms), 0) as decimal(38, 3)) as execution_ms,
    cast(sum(provider_cost_usd) as decimal(38, 12)) as provider_cost_usd,
    count(*) filter (where provider_cost_status = 'unknown_model') as unpriced_events
from marts.main.rpt_usage_event group by all;

create table marts.main.rpt_usage_category as
select category, label, cast(sort_order as integer) as sort_order from category;

create table marts.main.rpt_usage_model as
select model, coalesce(model_name, model) as model_name, provider from model;
"""

# acme: a lot used up, one in use, a gift that expires soon; tokyo in overage; mallory nearly out.
_CREDITS = """
create table marts.main.rpt_credits_usage as
select account_id, usage_date, cast(1 as bigint) as segment, credits,
    cast(usage_date as timestamp) + interval 8 hour as first_occurred_at,
    cast(usage_date as timestamp) + interval 13 hour as last_occurred_at
from marts.main.rpt_overview_daily;

create temp table lot as
with total as (
    select account_id, sum(credits) as used, min(usage_date) as first_date
    from marts.main.rpt_overview_daily group by account_id
), cut as (
    select *, case account_id when 'acme' then 0.6 when 'tokyo' then 0.9 else 1 end as first_share
    from total
)
select account_id, cast(number as bigint) as lot_id, kind, reason, number as burn_rank,
    cast(consumed as decimal(38, 9)) as consumed, cast(remaining as decimal(38, 9)) as remaining,
    first_date, expires_at, price
from (
    select *, 10 * rank() over (order by account_id) + 1 as number, 'purchased' as kind,
        'Growth pack' as reason, round(used * first_share, 9) as consumed,
        case account_id when 'mallory' then 0.5 else 0 end as remaining,
        cast(null as timestamp) as expires_at, 49900 as price
    from cut
    union all
    select *, 10 * rank() over (order by account_id) + 2, 'promotional', 'Welcome gift',
        0, 25, cast($today + 6 as timestamp), null
    from cut where account_id = 'acme'
    union all
    select *, 10 * rank() over (order by account_id) + 3, 'purchased', 'Growth pack',
        used - round(used * first_share, 9), used / 3, null, 49900
    from cut where account_id = 'acme'
);

create table marts.main.rpt_credits_lot as
select account_id, lot_id, cast(null as varchar) as purchase_id, kind,
    case when remaining > 0 then 'active' else 'exhausted' end as status,
    case when account_id = 'mallory' then $hostile else reason end as reason,
    cast(burn_rank as bigint) as burn_rank, cast(10 as bigint) as priority,
    cast(consumed + remaining as decimal(38, 9)) as granted_credits, consumed as consumed_credits,
    cast(0 as decimal(38, 9)) as forfeited_credits, remaining as remaining_credits,
    case when price is not null then 'EUR' end as currency, cast(price as bigint) as paid_minor,
    cast(coalesce(price, 0) as decimal(38, 21)) as recognised_minor,
    cast(0 as decimal(38, 21)) as deferred_minor,
    cast(first_date as timestamp) as effective_at, expires_at,
    cast(null as timestamp) as voided_at, $now as last_used_at
from lot;

create table marts.main.rpt_credits_daily as
with granted as (
    select account_id, first_date, sum(consumed + remaining) as credits from lot group by all
), daily as (
    select day.account_id, month, usage_date, day.credits,
        case when usage_date = first_date then granted.credits else 0 end as granted,
        sum(day.credits) over (partition by day.account_id order by usage_date) as used,
        granted.credits as limit_credits
    from marts.main.rpt_overview_daily as day
    inner join granted on granted.account_id = day.account_id
)
select account_id, month, usage_date as balance_date,
    cast(granted as decimal(38, 9)) as granted_credits,
    cast(greatest(least(credits, limit_credits - used + credits), 0) as decimal(38, 9))
        as consumed_credits,
    cast(credits - greatest(least(credits, limit_credits - used + credits), 0) as decimal(38, 9))
        as overage_credits,
    cast(0 as decimal(38, 9)) as overage_paid_credits,
    cast(0 as decimal(38, 9)) as forfeited_credits,
    cast(limit_credits - used as decimal(38, 9)) as closing_credits
from daily;

create table marts.main.rpt_credits_ledger as
with posted as (
    select account_id, cast(first_date as timestamp) as posted_at, 'grant' as posting_kind, lot_id,
        kind as lot_kind, reason as lot_reason, cast(null as date) as usage_date,
        consumed + remaining as credits, consumed + remaining as change
    from lot
    union all
    select account_id, cast(balance_date as timestamp) + interval 13 hour, 'consumption',
        (select min(lot_id) from lot where lot.account_id = daily.account_id), 'purchased',
        'Growth pack', balance_date, consumed_credits, -consumed_credits
    from marts.main.rpt_credits_daily as daily where consumed_credits > 0
    union all
    select account_id, cast(balance_date as timestamp) + interval 13 hour, 'overage', null, null,
        null, balance_date, overage_credits, -overage_credits
    from marts.main.rpt_credits_daily where overage_credits > 0
), numbered as (
    select *, row_number() over (partition by account_id order by posted_at, posting_kind, lot_id)
        as posting_number
    from posted
)
select account_id, posting_number, cast(date_trunc('month', posted_at) as date) as month,
    cast(posted_at as date) as posted_date, posted_at, posting_kind, lot_id, lot_kind, lot_reason,
    usage_date, cast(credits as decimal(38, 9)) as credits,
    cast(change as decimal(38, 9)) as change_credits,
    cast(sum(change) over (partition by account_id order by posting_number) as decimal(38, 9))
        as balance_credits,
    cast(0 as decimal(38, 21)) as value_minor, cast(null as varchar) as currency
from numbered;

create table marts.main.rpt_credits_balance as
with used as (
    select account_id, sum(credits) as credits, avg(credits) as pace
    from marts.main.rpt_overview_daily group by account_id
), lots as (
    select account_id, sum(consumed) as consumed, sum(remaining) as remaining,
        min(expires_at) as next_expiry_at
    from lot group by account_id
)
select account.account_id,
    cast(coalesce(remaining - (credits - consumed), 0) as decimal(38, 9)) as balance_credits,
    cast(coalesce(remaining, 0) as decimal(38, 9)) as remaining_credits,
    cast(coalesce(credits - consumed, 0) as decimal(38, 9)) as overage_credits,
    cast(coalesce(consumed + remaining, 0) as decimal(38, 9)) as granted_credits,
    cast(coalesce(consumed, 0) as decimal(38, 9)) as consumed_credits,
    cast(0 as decimal(38, 9)) as forfeited_credits,
    next_expiry_at,
    cast(case when next_expiry_at is not null then 25 end as decimal(38, 9))
        as next_expiry_credits,
    cast(pace as decimal(38, 9)) as daily_pace_credits,
    cast(greatest(remaining - (credits - consumed), 0) / pace as decimal(18, 1)) as runway_days
from account
left join used on used.account_id = account.account_id
left join lots on lots.account_id = account.account_id;

create table marts.main.rpt_credits_package as
select package_id, currency, row_number() over () as offer_id, name,
    cast(credits as decimal(38, 9)) as credits, cast(bonus as decimal(38, 9)) as bonus_credits,
    cast(price * rate as bigint) as price_minor, cast(validity as bigint) as validity_days,
    cast(case when bonus > 0 then 90 end as bigint) as bonus_validity_days
from (values
    ('starter', 'Starter', 100, 0, 1900, 365), ('growth', 'Growth', 1000, 50, 14900, 365),
    ('scale', 'Scale', 10000, 1000, 119000, null)
) as package(package_id, name, credits, bonus, price, validity)
cross join (values ('EUR', 1), ('USD', 1.1), ('JPY', 1.6)) as money(currency, rate);
"""

# acme: one advice of each kind; mallory: an agent with a hostile name; an acceptance is measured.
_ADVICE = """
create table marts.main.rpt_insights_advice as
select account_id, substr(md5(account_id || kind || agent_id), 1, 12) as advice_id, kind, agent_id,
    case when kind <> 'failures' then 'llm' end as category,
    case when kind <> 'failures' then 'claude-opus-4-6' end as model,
    case when kind = 'cheaper_model' then 'claude-sonnet-4-5' end as candidate_model,
    basis as credit_basis, is_guess, cast(events as bigint) as events, cast(21 as bigint) as days,
    cast(events * 3 as bigint) as scope_events, cast(events * 4 as bigint) as agent_events,
    cast(case when kind = 'failures' then events * 1.2 else 3 end as bigint) as agent_failed_events,
    cast(credits * 6 as decimal(38, 9)) as agent_credits,
    cast(credits as decimal(38, 9)) as credits,
    cast(credits * part as decimal(38, 9)) as saved_credits,
    cast(credits * part * 30 / 28 as decimal(38, 9)) as saved_credits_month,
    cast(events * 3 as bigint) as baseline_units,
    cast(credits * 3 as decimal(38, 9)) as baseline_quantity,
    $today - 28 as window_from, $today as window_until,
    cast($today - 27 as timestamp) as first_occurred_at,
    cast($today - 1 as timestamp) as last_occurred_at
from (values
    ('acme', 'cheaper_model', 'research-agent', 'own_log', false, 842, 214.2, 0.6),
    ('acme', 'repeated_requests', 'support-copilot', 'log', false, 391, 88.1, 1.0),
    ('acme', 'prompt_caching', 'contract-checker', 'list_price', true, 205, 143.7, 0.48),
    ('acme', 'batching', 'translator', 'list_price', false, 4120, 61.0, 0.5),
    ('acme', 'failures', 'qa-tester', 'log', false, 57, 21.4, 1.0),
    ('acme', 'repeated_shapes', 'sql-analyst', 'log', true, 66, 12.9, 1.0),
    ('mallory', 'repeated_requests', $hostile, 'log', false, 40, 9.5, 1.0)
) as advice(account_id, kind, agent_id, basis, is_guess, events, credits, part);

create table marts.main.rpt_insights_advice_event as
select advice.account_id, advice_id, kind, agent_id, 'llm' as category, 'claude-opus-4-6' as model,
    candidate_model, 'meterhouse' as source, 'ev-' || number as event_id, credit_basis,
    cast(credits / events as decimal(18, 9)) as credits,
    cast(saved_credits / events as decimal(18, 9)) as saved_credits,
    $today - cast(1 + number % 20 as integer) as usage_date_utc,
    cast($today - cast(1 + number % 20 as integer) as timestamp)
        + to_seconds(cast(number * 61 % 86400 as integer)) as occurred_at
from marts.main.rpt_insights_advice as advice,
lateral (select unnest(generate_series(1, events)) as number);

create table marts.main.rpt_insights_advice_saving as
select account_id, cast(1 as bigint) as decision_id, advice_id,
    cast(week as integer) as week_number,
    $today - 21 + cast(7 * (week - 1) as integer) as week_from,
    cast(7 as integer) as days, cast(700 as bigint) as events, cast(700 as bigint) as units,
    cast(60 as decimal(38, 9)) as expected_credits,
    cast(60 - 9 * week as decimal(38, 9)) as actual_credits,
    cast(9 * week as decimal(38, 9)) as saved_credits
from marts.main.rpt_insights_advice
cross join (values (1), (2), (3)) as weeks(week)
where account_id = 'acme' and kind = 'cheaper_model';
"""

# acme: a purchase a month and usage beyond the lots in October; tokyo: overage in yen; mallory: a
# purchase in October.
_INVOICES = """
create table marts.main.fct_invoice_month as
with month as (
    select account_id, month, credits, events, unrated_events, exposure_high_credits
    from marts.main.rpt_overview_month
    union all
    select 'mallory', date '2026-10-01', 0, 0, 0, 0
)
select month.account_id, month.month,
    case account_id when 'tokyo' then 'prepaid_with_overage' else 'prepaid' end as plan,
    account.currency, cast(0 as decimal(38, 9)) as opening_credits,
    cast(1000 as decimal(38, 9)) as granted_credits, cast(0 as decimal(38, 9)) as invoiced_credits,
    cast(credits as decimal(38, 9)) as used_credits, cast(0 as decimal(38, 9)) as forfeited_credits,
    cast(1000 - credits as decimal(38, 9)) as closing_credits,
    cast(0 as decimal(38, 9)) as invoiced_credits_so_far, cast(events as bigint) as events,
    cast(case month.month when date '2026-11-01' then unrated_events else 0 end as bigint)
        as unrated_events,
    cast(exposure_high_credits as decimal(38, 9)) as exposure_high_credits,
    timezone('UTC', timezone(time_zone, cast(month.month as timestamp))) as starts_at,
    timezone('UTC', timezone(time_zone, month.month + interval 1 month)) as ends_at
from month
inner join account using (account_id);

create table marts.main.fct_invoice_draft as
select account_id, month, currency, charge.kind,
    cast(charge.credits as decimal(38, 9)) as credits,
    cast(charge.price as decimal(24, 12)) as unit_price,
    cast(charge.gross as bigint) as gross_minor, cast(charge.gross as bigint) as paid_minor
from marts.main.fct_invoice_month
inner join (values
    ('acme', 'purchase', date '2026-08-01', date '2026-11-01', 1000, null, 14900),
    ('acme', 'overage', date '2026-10-01', date '2026-11-01', 12.5, 0.0125, 0),
    ('tokyo', 'overage', date '2026-10-01', date '2026-11-01', 333, 1.6, 0),
    ('mallory', 'purchase', date '2026-10-01', date '2026-10-01', 100, null, 1900)
) as charge(account_id, kind, first_month, last_month, credits, price, gross) using (account_id)
where month between charge.first_month and charge.last_month;

create table marts.main.fct_usage_monthly as
select account_id, month, agent_id, category, model, cast(sum(events) as bigint) as events,
    cast(sum(tokens) as bigint) as total_tokens, cast(sum(credits) as decimal(38, 9)) as credits
from usage group by all;

create table marts.main.dim_load as select 'file' as kind, $now as finished_at;

create table marts.main.rpt_invoices_month as
select account_id, month, plan, currency, opening_credits, granted_credits, invoiced_credits,
    used_credits, forfeited_credits, closing_credits, events, unrated_events, starts_at, ends_at
from marts.main.fct_invoice_month;

create table marts.main.rpt_invoices_draft as select * from marts.main.fct_invoice_draft;

create table marts.main.fct_book_balance as
select account_id, month, currency, cast(14900 as bigint) as cash_minor,
    cast(0 as bigint) as suspense_minor, cast(0 as bigint) as unbilled_minor,
    cast(2379 as bigint) as tax_minor, cast(10000 as bigint) as deferred_minor,
    cast(2521 as bigint) as revenue_minor, cast(0 as bigint) as breakage_minor
from marts.main.fct_invoice_month;

create table marts.main.rpt_invoices_difference as
select 'tokyo' as account_id, date '2026-10-01' as month, 'JPY' as currency, 'overage' as kind,
    'G' as tax_category, cast(0 as decimal(24, 12)) as tax_percent, 'late_usage' as cause,
    cast(333 as decimal(38, 9)) as invoiced_credits, cast(433 as decimal(38, 9)) as known_credits,
    cast(100 as decimal(38, 9)) as difference_credits, cast(533 as bigint) as invoiced_net_minor,
    cast(693 as bigint) as known_net_minor, cast(160 as bigint) as difference_net_minor,
    cast(0 as bigint) as difference_gross_minor, date '2026-11-01' as books_month;

create table marts.main.rpt_invoices_books as
select month, currency, cast(sum(cash_minor) as bigint) as purchases_minor,
    cast(sum(revenue_minor) as bigint) as revenue_minor,
    cast(7 as bigint) as breakage_minor, cast(0 as bigint) as goodwill_minor,
    cast(0 as bigint) as rounding_minor, cast(sum(cash_minor) as bigint) as cash_minor,
    cast(19 as bigint) as receivable_minor, cast(0 as bigint) as unbilled_minor,
    cast(sum(deferred_minor) as bigint) as deferred_revenue_minor,
    cast(sum(tax_minor) as bigint) as tax_payable_minor, cast(0 as bigint) as suspense_minor,
    month < date '2026-11-01' as is_closed
from marts.main.fct_book_balance group by month, currency;
"""

# Tokyo's usage cost more than it earned, mallory's earned dollars, acme's euros.
_STANDING = """
create table marts.main.rpt_accounts_standing as
select account.account_id, account.name, account.time_zone, account.currency, account.plan,
    account.first_usage_date, account.last_usage_date, $today as today,
    cast(date_trunc('month', $today) as date) as month,
    coalesce(used.credits, 0)::decimal(38, 9) as credits,
    coalesce(used.events, 0)::bigint as events,
    coalesce(used.unrated_events, 0)::bigint as unrated_events,
    cast(0 as bigint) as unpriced_events, used.provider_cost_usd,
    case account.account_id when 'acme' then 'EUR' when 'mallory' then 'USD' end
        as revenue_currency,
    cast(case account.account_id when 'acme' then 14900 when 'mallory' then 99900 else 0 end
        as decimal(38, 12)) as revenue_minor,
    cast(case account.account_id when 'mallory' then 999 - used.provider_cost_usd
        when 'tokyo' then -used.provider_cost_usd when 'idle' then 0 end
        as decimal(38, 12)) as margin_usd,
    coalesce(used.projected_credits, 0)::decimal(38, 9) as projected_credits,
    used.projected_cost_usd, balance.granted_credits, balance.balance_credits,
    balance.overage_credits, balance.runway_days, used.run_out_date,
    case when account.account_id = 'acme' then date '2026-11-17' end as spike_date
from marts.main.rpt_account as account
left join marts.main.rpt_overview_month as used
    on account.account_id = used.account_id and not used.is_complete
left join marts.main.rpt_credits_balance as balance on account.account_id = balance.account_id;
"""

_LOADS = """
insert into raw.main.load values
(1, 'operations', 'operations', 'operations.sqlite', 'h1', 4096, 0, 4, 4, 0, 0,
    timestamp '2026-11-18 07:58:00', timestamp '2026-11-18 07:58:01', null),
(2, 'prices', 'genai-prices', 'genai-prices 0.2.3', 'h2', 90112, 0, 212, 212, 0, 0,
    timestamp '2026-11-18 07:58:02', timestamp '2026-11-18 07:58:04', null),
(3, 'file', 'exgentic', '/landing/exgentic/swebench_to_2026-04-21.jsonl', 'h3', 733000, 1478,
    1478, 1478, 0, 0, timestamp '2026-11-18 08:00:00', timestamp '2026-11-18 08:00:02',
    timestamp '2026-11-18 07:12:00'),
(4, 'file', 'claude_code', '/landing/claude_code/sessions.jsonl', 'h4', 512000, 1207, 1207, 1204,
    3, 0, timestamp '2026-11-20 18:59:58', timestamp '2026-11-20 19:00:00',
    timestamp '2026-11-20 18:59:00'),
(5, 'file', 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'h5', 8912000, 97120,
    97120, 96880, 231, 9, timestamp '2026-11-23 00:05:00', timestamp '2026-11-23 00:05:04',
    timestamp '2026-11-23 00:04:00'),
(6, 'replay', 'meterhouse', 'quarantine', 'h6', 0, 0, 2, 2, 0, 0,
    timestamp '2026-11-23 09:00:00', timestamp '2026-11-23 09:00:01', null),
(7, 'file', 'meterhouse', '/landing/meterhouse/usage-2026-11-23.ndjson', 'h7', 212000, 1431, 1431,
    1429, 2, 0, $now - interval 2 second, $now, $now - interval 1 minute),
(8, 'file', 'meterhouse', '/landing/meterhouse/usage-2026-11-23.ndjson', 'h8', 219000, 1479, 48,
    46, 1, 1, $now + interval 3 minute, $now + interval 181 second, $now + interval 2 minute);

insert into raw.main.usage_quarantine values
(5, 12, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'undeclared_account',
    'account zenith is not declared', 'zenith', 'e-12', timestamp '2026-11-22 08:01:00', null,
    '{"event_id":"e-12","account_id":"zenith","agent_id":"scout","category":"llm"}'),
(5, 13, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'undeclared_account',
    'account zenith is not declared', 'zenith', 'e-13', timestamp '2026-11-22 08:02:00', null,
    '{"event_id":"e-13","account_id":"zenith","agent_id":"scout","category":"sql"}'),
(5, 700, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'undeclared_account',
    'account apex is not declared', 'apex', 'e-700', timestamp '2026-11-22 10:00:00', null,
    '{"event_id":"e-700","account_id":"apex","agent_id":"a","category":"llm"}'),
(5, 701, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'undeclared_account',
    'account apex is not declared', 'apex', 'e-701', timestamp '2026-11-22 10:00:01', null, '{}'),
(5, 41, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'unreadable_line',
    'the line is no JSON object', null, null, null, null, '{"event_id":"e-41","account_'),
(5, 42, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'unreadable_line',
    'the line is no JSON object', null, null, null, null, $hostile || repeat('x', 4000)),
(5, 90, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'unknown_category',
    'category hologram is not one of llm, sql, …', 'acme', 'e-90',
    timestamp '2026-11-22 09:00:00', null, '{"event_id":"e-90","category":"hologram"}'),
(5, 91, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'negative_number',
    'credits is -4', 'acme', 'e-91', timestamp '2026-11-22 09:00:00', null,
    '{"event_id":"e-91","credits":-4}'),
(5, 92, 'meterhouse', '/landing/meterhouse/usage-2026-11-22.ndjson.zst', 'conflicting_duplicate',
    'the same event was loaded with other content', 'acme', 'e-4',
    timestamp '2026-11-22 09:00:00', null, '{"event_id":"e-4","credits":9}'),
(8, 1460, 'meterhouse', '/landing/meterhouse/usage-2026-11-23.ndjson', 'future_time',
    'occurred_at is 2099-01-01 00:00:00', 'acme', 'e-99', timestamp '2099-01-01', null,
    '{"event_id":"e-99","occurred_at":"2099-01-01T00:00:00Z"}');

insert into raw.main.usage_quarantine_release values (6, 5, 700), (6, 5, 701);

insert into raw.main.usage_event
select 8, 1432 + i, 'meterhouse', 'p-' || i, 0, false, hash('p-' || i),
    case when i < 41 then 'acme' else 'tokyo' end, 'research-agent', 'llm', 'gpt-5.2',
    $now + interval 1 minute, $today, 1200, 0.05, 900, 0, 0, 120, 'ok', null, null, null
from generate_series(0, 45) as s(i);

insert into raw.main.usage_event
select 5, 100 + i, 'meterhouse', case when i = 0 then $hostile else 'o-' || i end, 0, false,
    hash('o-' || i), 'acme', 'research-agent', 'llm', 'gpt-5.2',
    timestamp '2026-10-02 08:00:00' + to_minutes(cast(i as integer)), date '2026-10-02', 1200, 0.5,
    900, 0, 0, 120, 'ok', null, null, null
from generate_series(0, 29) as s(i);
"""

CHECKS = (
    CheckResult("dbt", "unique_fct_usage", "error", True, 0, "no duplicate key"),
    CheckResult("dbt", "credits_are_conserved", "error", True, 0, "facts equal raw"),
    CheckResult("raw events", "categories are known", "error", True, 0, "eight categories"),
    CheckResult("facts", "credits are not negative", "error", True, 0, "none below zero"),
    CheckResult("daily", "no day is missing", "warn", False, 3, "claude_code misses 3 days"),
    CheckResult("raw events", "the newest event is fresh", "warn", True, None, "4 minutes old"),
)
FAILED_CHECKS = (
    CheckResult("dbt", "credits_are_conserved", "error", False, 2, "2 days differ from raw"),
    CheckResult("daily", "no day is missing", "warn", False, 3, "claude_code misses 3 days"),
)


def make_lake(settings: Settings) -> Publication:
    """Write both lakes under ``settings.home`` and publish them."""
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        _run(connection, _LOADS)
        raw_snapshot = current_snapshot(connection, "raw")
    with writing(settings, "marts") as connection:
        for script in (
            _ACCOUNTS,
            _CATEGORIES,
            _MODELS,
            _AGENTS,
            _USAGE,
            _REPORTING,
            _EVENTS,
            _CREDITS,
            _ADVICE,
            _INVOICES,
            _STANDING,
        ):
            _run(connection, script)
        return publish_head(connection, raw_snapshot)


def make_store(settings: Settings) -> None:
    """Declare the accounts in the operational store, with lots and packages.

    acme has a lot used up, one in use and a gift that ends six days from now; tokyo is in overage;
    mallory has one hostile lot; idle has none.
    """
    soon = datetime.now(UTC) + timedelta(days=6)
    with open_store(settings) as store:
        for account_id, name, zone, currency, plan in (
            ("acme", "Acme Robotics", "Europe/Berlin", "EUR", "prepaid"),
            ("tokyo", "Tokyo Translators", "Asia/Tokyo", "JPY", "prepaid_with_overage"),
            ("mallory", HOSTILE, "UTC", "USD", "prepaid"),
            ("idle", "Idle Instruments", "America/New_York", "USD", "prepaid"),
        ):
            price = "1.6" if plan != "prepaid" else None
            add_account(
                store,
                account_id,
                name=name,
                time_zone=zone,
                currency=currency,
                plan=plan,
                overage_price=price,
            )
        begin = datetime(2026, 8, 1, tzinfo=UTC)
        for account_id, credits, reason, kind, expires_at, paid, currency in (
            ("acme", "1500", "Growth pack", "purchased", None, 14_900, "EUR"),
            ("acme", "25", "Welcome gift", "promotional", soon, None, None),
            ("acme", "90000", "Scale pack", "purchased", None, 119_000, "EUR"),
            ("tokyo", "100", "Starter pack", "purchased", None, 3_000, "JPY"),
            ("mallory", "5000", HOSTILE, "promotional", None, None, None),
        ):
            grant(
                store,
                account_id,
                credits,
                reason=reason,
                kind=kind,
                priority={"Growth pack": 1, "Welcome gift": 90}.get(reason, 50),
                effective_at=begin,
                expires_at=expires_at,
                paid_minor=paid,
                currency=currency,
                now=begin,
            )
        add_sample_offers(store, {"EUR", "JPY", "USD"})


def make_invoices(settings: Settings, only: Collection[str] = ()) -> None:
    """Close months of the stocked accounts and render what was issued, or close of ``only`` those.

    acme (Berlin, taxed) has invoices of August to October, the last one issued in 2027 and credited
    in part; tokyo one in yen without tax; mallory one by reverse charge, its PDF not rendered.
    """
    with open_store(settings) as store:
        set_issuer(
            store,
            {
                "name": "Craveva AI GmbH", "street": "Torstraße 1", "postcode": "10119",
                "city": "Berlin", "country": "DE", "tax_id": "DE123456789",
                "email": "billing@craveva.example",
            },
        )  # fmt: skip
        add_tax_rate(store, "DE", "19", date(2007, 1, 1))
        home = {"street": "1 High Street", "postcode": "D02", "city": "Dublin", "country": "IE"}
        for account_id, more in {
            "acme": {"name": "Acme Robotics GmbH"},
            "tokyo": {"name": "Tokyo Translators K.K.", "tax_treatment": "export", "country": "JP"},
            "mallory": {
                "name": HOSTILE,
                "tax_treatment": "reverse_charge",
                "tax_id": "IE6388047V",
            },
        }.items():
            set_profile(store, account_id, {**home, **more})
        for month, account_id, at in (
            (8, "acme", datetime(2026, 9, 5, tzinfo=UTC)),
            (9, "acme", datetime(2026, 10, 5, tzinfo=UTC)),
            (10, "tokyo", datetime(2026, 11, 5, tzinfo=UTC)),
            (10, "acme", datetime(2027, 1, 5, tzinfo=UTC)),
        ):
            if only and account_id not in only:
                continue
            closed = close(settings, store, date(2026, month, 1), account_id=account_id, now=at)
            assert not closed.held, closed.held
        if only:
            return
        credit_note(
            settings, store, "INV-2027-000001", 1000, reason=f"outage {HOSTILE}",
            now=datetime(2027, 1, 8, tzinfo=UTC),
        )  # fmt: skip
        render_missing(settings, store)
        at = datetime(2027, 1, 9, tzinfo=UTC)
        close(settings, store, date(2026, 10, 1), account_id="mallory", now=at)


def make_raw_lake(settings: Settings) -> None:
    """Only what was loaded: nothing is built or published."""
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        _run(connection, _LOADS)


def publish_head(
    connection: Connection, raw_snapshot: int, checks: tuple[CheckResult, ...] = CHECKS
) -> Publication:
    """Record ``checks`` and publish the head of marts, as a refresh does."""
    snapshot = current_snapshot(connection, "marts")
    record_checks(
        connection, checks, marts_snapshot=snapshot, raw_load_id=RAW_LOAD_ID, checked_at=NOW
    )
    return publish(
        connection,
        marts_snapshot=snapshot,
        raw_snapshot=raw_snapshot,
        raw_load_id=RAW_LOAD_ID,
        published_at=NOW,
    )


def _run(connection: Connection, script: str) -> None:
    """Execute a script statement by statement, binding the parameters that each one names."""
    values = {
        "today": TODAY,
        "now": NOW.replace(tzinfo=None),
        "load": RAW_LOAD_ID,
        "hostile": HOSTILE,
    }
    for statement in connection.extract_statements(script):
        named = {name: values[name] for name in statement.named_parameters}
        connection.execute(statement, named or None)


if __name__ == "__main__":
    print(make_lake(Settings(home=Path(sys.argv[1]))))
