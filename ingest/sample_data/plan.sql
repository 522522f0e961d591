-- The plan of a sample: who uses how much on which day. Reads the CSV files beside this one as
-- views (base_account, base_agent, base_mix, base_spike, rhythm, model) and the variables seed,
-- accounts, days, events, start_at, until_at. All randomness is a hash of the seed and of what it
-- decides, so that the same variables give the same rows, on any number of threads.

create or replace macro unit(key, salt) as
    cast(hash(key, salt) >> 11 as double) / 9007199254740992.0;

create or replace macro normal(key, salt) as (
    cast(
        (hash(key, salt) & 65535) + ((hash(key, salt) >> 16) & 65535)
        + ((hash(key, salt) >> 32) & 65535) + (hash(key, salt) >> 48)
        as double
    ) / 65536.0 - 2.0
) * 1.7320508;

-- one row an hour of the local day, a rhythm and a kind of day: its share of the day's usage
create or replace temp table rhythm_hour as
with weights as (
    select
        rhythm,
        is_weekend,
        hour,
        cast(split_part(case when is_weekend then weekend_hours else hours end, ' ', hour + 1) as double) as weight,
    from rhythm
    cross join (select unnest([false, true]) as is_weekend)
    cross join (select unnest(range(24))::integer as hour)
)
select
    rhythm,
    is_weekend,
    hour,
    weight / sum(weight) over whole_day as share,
    sum(weight) over (whole_day order by hour) / sum(weight) over whole_day
    - weight / sum(weight) over whole_day as share_before,
from weights
window whole_day as (partition by rhythm, is_weekend);

-- one row a 256th of the day's usage: between which seconds of the local day it happens
create or replace temp table rhythm_part as
with cuts as (
    select
        rhythm_hour.rhythm,
        rhythm_hour.is_weekend,
        part,
        case
            when part = 256 then 86400.0
            else (hour + (part / 256.0 - share_before) / share) * 3600.0
        end as second_of_day,
    from rhythm_hour
    cross join (select unnest(range(257))::integer as part)
    where (part / 256.0 >= share_before and part / 256.0 < share_before + share)
       or (part = 256 and hour = 23)
    qualify row_number() over (partition by rhythm, is_weekend, part order by hour) = 1
)
select
    rhythm,
    is_weekend,
    part,
    second_of_day as from_second,
    lead(second_of_day) over (partition by rhythm, is_weekend order by part) as to_second,
from cuts
qualify to_second is not null;

-- one row an account; those beyond the described ones are built after their patterns
create or replace temp table account as
with words as (
    select
        ['Alder', 'Birch', 'Cobalt', 'Delta', 'Ember', 'Fjord', 'Granite', 'Harbour', 'Indigo', 'Juniper',
         'Keystone', 'Lumen', 'Meridian', 'Nimbus', 'Onyx', 'Prairie', 'Quartz', 'Raven', 'Sierra',
         'Tundra', 'Umber', 'Vertex', 'Willow', 'Zephyr'] as first_words,
        ['Foods', 'Logistics', 'Studios', 'Media', 'Health', 'Insurance', 'Games', 'Robotics', 'Travel',
         'Energy', 'Retail', 'Systems', 'Legal', 'Marine', 'Optics', 'Textiles', 'Software'] as second_words,
),
numbered as (
    select
        i,
        base_account.*,
        first_words[(i * 7 + i // 24) % 24 + 1] as first_word,
        second_words[(i * 5 + i // 17) % 17 + 1] as second_word,
    from words
    cross join (select unnest(range(getvariable('accounts')))::bigint as i)
    inner join base_account
        on base_account.position = i % getvariable('base_accounts')
)
select
    i as account_no,
    account_id as base_id,
    case
        when i < getvariable('base_accounts') then account_id
        else concat_ws('-', lower(first_word), lower(second_word), i + 1)
    end as account_id,
    case
        when i < getvariable('base_accounts') then name
        else concat_ws(' ', first_word, second_word, i + 1)
    end as name,
    time_zone,
    currency,
    case
        when i < getvariable('base_accounts') then email
        else concat('billing@', lower(first_word), '-', lower(second_word), '-', i + 1, '.example')
    end as email,
    plan,
    size * case
        when i < getvariable('base_accounts') then 1
        else exp(0.9 * normal(hash(getvariable('seed'), i), 1) - 0.4)
    end as size,
    growth,
    joined_share,
    price_factor,
    cast(cast(getvariable('start_at') as timestamp) at time zone 'UTC' at time zone time_zone as date) as first_day,
    cast(cast(getvariable('until_at') as timestamp) at time zone 'UTC' at time zone time_zone as date) as last_day,
from numbered;

-- one row an agent
create or replace temp table agent as
select
    row_number() over (order by account.account_no, base_agent.position) as agent_no,
    account.account_no,
    account.account_id,
    account.base_id,
    base_agent.agent_id,
    base_agent.rhythm,
    account.size * base_agent.weight
    / sum(base_agent.weight) over (partition by account.account_no) as weight,
    account.growth * base_agent.growth as growth,
    greatest(account.joined_share, base_agent.joined_share) as joined_share,
    base_agent.left_share,
    base_agent.calls_per_session,
    base_agent.failure_rate,
    base_agent.cancel_rate,
    base_agent.input_factor,
    base_agent.output_factor,
    base_agent.cache_share,
    base_agent.repeat_share,
    base_agent.digits,
    account.price_factor,
    case
        when base_agent.digits = 9 then ''
        else concat(',"tags":{"team":"', base_agent.team, '","environment":"', base_agent.environment, '"}')
    end as tags_text,
from account
inner join base_agent
    on account.base_id = base_agent.account_id;

-- one row a stretch of time in which an agent's mix of models stays the same
create or replace temp table mix_period as
with cuts as (
    select account_id, agent_id, from_share as cut from base_mix
    union
    select account_id, agent_id, to_share from base_mix
)
select
    row_number() over (order by account_id, agent_id, cut) as period_no,
    account_id,
    agent_id,
    cut as from_share,
    lead(cut) over (partition by account_id, agent_id order by cut) as to_share,
from cuts
qualify to_share is not null;

-- one row a hundredth of an agent's calls in a stretch: the model that serves it
create or replace temp table mix_part as
with active as (
    select
        mix_period.period_no,
        base_mix.*,
        sum(weight) over (partition by period_no order by position) / sum(weight) over (partition by period_no)
            as share_until,
        (sum(weight) over (partition by period_no order by position) - weight)
        / sum(weight) over (partition by period_no) as share_from,
    from mix_period
    inner join base_mix
        on mix_period.account_id = base_mix.account_id
        and mix_period.agent_id = base_mix.agent_id
        and base_mix.from_share <= mix_period.from_share
        and base_mix.to_share >= mix_period.to_share
)
select
    active.period_no,
    part,
    active.logs_credits,
    model.*,
from active
inner join (select unnest(range(100))::integer as part) as parts
    on (part + 0.5) / 100 >= share_from
    and (part + 0.5) / 100 < share_until
inner join model
    on active.category = model.category
    and active.model is not distinct from model.model;

-- one row a spike that lies within the sample; on a weekend an office has none, so it comes earlier
create or replace temp table spike as
with placed as (
    select
        base_spike.* exclude (account_id),
        agent.account_id,
        agent.agent_no,
        account.last_day - cast(base_spike.days_before_end as integer) as wanted_day,
        rhythm.weekdays,
        account.first_day,
        account.last_day,
        agent.joined_share,
        agent.left_share,
    from base_spike
    inner join account
        on base_spike.account_id = account.base_id
    inner join agent
        on account.account_no = agent.account_no
        and base_spike.agent_id = agent.agent_id
    inner join rhythm
        on agent.rhythm = rhythm.rhythm
),
moved as (
    select
        *,
        wanted_day - case
            when cast(split_part(weekdays, ' ', isodow(wanted_day)::integer) as double) >= 0.5 then 0
            else cast(isodow(wanted_day) - 5 as integer)
        end as first_spike_day,
    from placed
)
select
    account_id,
    agent_no,
    agent_id,
    first_spike_day as first_day,
    first_spike_day + cast(length_days - 1 as integer) as last_day,
    volume,
    tokens,
    failure_rate,
    cause,
from moved
where first_spike_day > first_day + cast(ceil(joined_share * getvariable('days')) as integer)
  and first_spike_day + cast(length_days - 1 as integer) < last_day
  and first_spike_day < first_day + cast(floor(left_share * getvariable('days')) as integer);

-- one row an agent and a local day with usage: how many events, and which part of the day counts
create or replace temp table cell as
with days as (
    select
        time_zone,
        first_day,
        last_day,
        cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as local_day,
    from (select distinct time_zone, first_day, last_day from account)
),
zoned as (
    select
        *,
        cast(epoch((local_day + time '12:00') - ((local_day + time '12:00') at time zone time_zone at time zone 'UTC'))
            as integer) as offset_seconds,
        (local_day - first_day) / cast(getvariable('days') as double) as day_share,
        case when local_day = first_day
            then epoch((cast(getvariable('start_at') as timestamp) at time zone 'UTC' at time zone time_zone) - local_day)
            else 0.0
        end as from_second,
        case when local_day = last_day
            then epoch((cast(getvariable('until_at') as timestamp) at time zone 'UTC' at time zone time_zone) - local_day)
            else 86400.0
        end as to_second,
    from days
),
spread as (
    select
        agent.*,
        zoned.* exclude (time_zone, first_day, last_day),
        isodow(zoned.local_day) >= 6 as is_weekend,
        mix_period.period_no,
        spike.volume,
        spike.tokens,
        spike.failure_rate as spike_failure_rate,
        hash(getvariable('seed'), agent.agent_no, zoned.local_day) as day_key,
        agent.weight
        * pow(agent.growth, zoned.day_share)
        * case
            when agent.joined_share = 0 then 1.0
            else least(1.0, 0.25 + (zoned.day_share - agent.joined_share) * getvariable('days') / 40.0)
        end
        * cast(split_part(rhythm.weekdays, ' ', isodow(zoned.local_day)::integer) as double)
        * case
            when rhythm.month_edges = 1 then 1.0
            when day(zoned.local_day) <= 3 or zoned.local_day >= last_day(zoned.local_day) - 1 then rhythm.month_edges
            else 0.4
        end
        * case
            when agent.rhythm in ('office', 'six_days', 'closing')
                and strftime(zoned.local_day, '%m-%d') in
                    ('12-24', '12-25', '12-26', '12-27', '12-28', '12-29', '12-30', '12-31', '01-01')
                then 0.22
            else 1.0
        end
        * coalesce(spike.volume, 1.0)
        * exp(
            0.11 * normal(hash(getvariable('seed'), agent.agent_no, zoned.local_day), 1)
            + 0.06 * normal(hash(getvariable('seed'), agent.account_no, zoned.local_day), 2)
            + 0.09 * sin(6.2831853 * (zoned.day_share * getvariable('days') / 91.0 + unit(agent.account_no, 3)))
        ) as day_weight,
    from agent
    inner join account
        on agent.account_no = account.account_no
    inner join zoned
        on account.time_zone = zoned.time_zone
    inner join rhythm
        on agent.rhythm = rhythm.rhythm
    inner join mix_period
        on agent.base_id = mix_period.account_id
        and agent.agent_id = mix_period.agent_id
        and zoned.day_share >= mix_period.from_share
        and (zoned.day_share < mix_period.to_share or mix_period.to_share = 1)
    left join spike
        on agent.agent_no = spike.agent_no
        and zoned.local_day between spike.first_day and spike.last_day
    where zoned.day_share >= agent.joined_share
      and (zoned.day_share < agent.left_share or agent.left_share = 1)
      and exists (select 1 from mix_part where mix_part.period_no = mix_period.period_no)
),
cut as (
    select
        spread.*,
        coalesce(begins.share_before + begins.share * (from_second / 3600.0 - begins.hour), 0.0) as from_part,
        coalesce(ends.share_before + ends.share * (to_second / 3600.0 - ends.hour), 1.0) as to_part,
    from spread
    left join rhythm_hour as begins
        on spread.from_second > 0
        and spread.rhythm = begins.rhythm
        and spread.is_weekend = begins.is_weekend
        and cast(floor(spread.from_second / 3600) as integer) = begins.hour
    left join rhythm_hour as ends
        on spread.to_second < 86400
        and spread.rhythm = ends.rhythm
        and spread.is_weekend = ends.is_weekend
        and cast(floor(spread.to_second / 3600) as integer) = ends.hour
),
weighed as (
    select
        *,
        cast(round(day_weight * (to_part - from_part) * 1e6) as hugeint) as whole_weight,
    from cut
    where to_part > from_part
),
-- rounding running sums in a random order: whole numbers that add up to exactly the events wanted
summed as (
    select
        *,
        sum(whole_weight) over (order by day_key, agent_no) as weight_until,
        sum(whole_weight) over () as weight_total,
    from weighed
),
counted as (
    select
        *,
        cast(
            (weight_until * getvariable('events')) // weight_total
            - ((weight_until - whole_weight) * getvariable('events')) // weight_total
            as bigint
        ) as event_count,
    from summed
)
select
    agent_no,
    local_day,
    day_key,
    is_weekend,
    offset_seconds,
    from_part,
    to_part,
    period_no,
    coalesce(tokens, 1.0) as token_factor,
    coalesce(spike_failure_rate, failure_rate) as failure_rate,
    event_count,
    cast(sum(event_count) over (order by local_day, agent_no) - event_count as bigint) as first_event_no,
from counted
where event_count > 0
order by local_day, agent_no;
