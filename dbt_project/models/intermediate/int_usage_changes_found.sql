-- Grain: one row a change, since the last publication, that alters usage already loaded: of an
-- account's time zone, of a rate, or of what a model costs. It holds from a UTC day on.

{%- set is_new = 'load_id > ' ~ published_load_id() %}

with

account_terms as (

    select * from {{ ref('stg_raw__account_terms') }}

),

rates as (

    select * from {{ ref('stg_raw__rates') }}

),

model_prices as (

    select * from {{ ref('stg_raw__model_prices') }}

),

model_matches as (

    select * from {{ ref('stg_raw__model_matches') }}

),

-- Time zones: every day of the account from the change on ---------------------------------------

known_terms as (

    select
        account_id,
        time_zone,
        effective_from,
        term_id,
        min(effective_from) over (partition by account_id) as first_effective_from
    from account_terms
    where not {{ is_new }}

),

-- The term that each new one replaces. An account without any has no usage yet.
replaced_terms as (

    select
        account_terms.account_id,
        account_terms.effective_from,
        account_terms.time_zone,
        known_terms.time_zone as time_zone_before,
        known_terms.first_effective_from,
        row_number() over (
            partition by account_terms.account_id, account_terms.term_id
            order by known_terms.effective_from desc, known_terms.term_id desc
        ) as term_rank
    from account_terms
    inner join known_terms
        on
            account_terms.account_id = known_terms.account_id
            and known_terms.effective_from
            <= greatest(account_terms.effective_from, known_terms.first_effective_from)
    where account_terms.{{ is_new }}

),

zone_changes as (

    select
        'time_zone' as kind,
        account_id,
        cast(null as varchar) as category,
        cast(null as varchar) as model,
        min(
            case
                when effective_from <= first_effective_from then date '0001-01-01'
                else {{ add_days('effective_from', -1) }}
            end
        ) as from_day
    from replaced_terms
    where
        term_rank = 1
        and time_zone <> time_zone_before
    group by account_id

),

-- Rates: usage from their start on, and what usage held as unrated may cost ---------------------

rate_changes as (

    select
        'rate' as kind,
        cast(null as varchar) as account_id,
        category,
        model,
        cast(min(effective_from) as date) as from_day
    from rates
    where {{ is_new }}
    group by
        category,
        model

),

exposure_changes as (

    select distinct
        'exposure' as kind,
        cast(null as varchar) as account_id,
        category,
        cast(null as varchar) as model,
        date '0001-01-01' as from_day
    from rates
    where {{ is_new }}

),

-- Prices: usage of models that are matched anew, or whose prices are recorded anew ---------------

ranked_matches as (

    select
        model_matches.*,
        row_number() over (
            partition by model_matches.model
            order by
                case when model_matches.price_model is null then 1 else 0 end,
                model_matches.recorded_at desc,
                model_matches.load_id desc,
                model_matches.release desc
        ) as match_rank,
        row_number() over (
            partition by model_matches.model
            order by
                case when model_matches.{{ is_new }} then 1 else 0 end,
                case when model_matches.price_model is null then 1 else 0 end,
                model_matches.recorded_at desc,
                model_matches.load_id desc,
                model_matches.release desc
        ) as known_rank
    from model_matches

),

known_matches as (

    select * from ranked_matches
    where
        known_rank = 1
        and not {{ is_new }}

),

match_changes as (

    select
        now_matched.model,
        date '0001-01-01' as from_day
    from ranked_matches as now_matched
    left join known_matches
        on now_matched.model = known_matches.model
    where
        now_matched.match_rank = 1
        and now_matched.price_model is not null
        and (
            known_matches.price_model is null
            or now_matched.price_model <> known_matches.price_model
            or now_matched.provider <> known_matches.provider
        )

),

known_prices as (

    select distinct
        provider,
        price_model
    from model_prices
    where not {{ is_new }}

),

price_changes as (

    select
        model_prices.provider,
        model_prices.price_model,
        min(
            case
                when known_prices.price_model is null then date '0001-01-01'
                else cast(greatest(model_prices.effective_from, model_prices.recorded_at) as date)
            end
        ) as from_day
    from model_prices
    left join known_prices
        on
            model_prices.provider = known_prices.provider
            and model_prices.price_model = known_prices.price_model
    where model_prices.{{ is_new }}
    group by
        model_prices.provider,
        model_prices.price_model

),

cost_changes as (

    select
        model,
        from_day
    from match_changes

    union all

    select
        ranked_matches.model,
        price_changes.from_day
    from ranked_matches
    inner join price_changes
        on
            ranked_matches.provider = price_changes.provider
            and ranked_matches.price_model = price_changes.price_model
    where ranked_matches.match_rank = 1

),

model_changes as (

    select
        'provider_cost' as kind,
        cast(null as varchar) as account_id,
        cast(null as varchar) as category,
        model,
        min(from_day) as from_day
    from cost_changes
    group by model

),

found as (

    select * from zone_changes

    union all

    select * from rate_changes

    union all

    select * from exposure_changes

    union all

    select * from model_changes

)

select * from found
