-- Grain: one row, what this run builds from: the batches already published and those it reads.

with

loads as (

    select * from {{ ref('stg_raw__loads') }}

),

publications as (

    select * from {{ ref('stg_meta__publications') }}

),

published as (

    select
        count(*) > 0 as has_publication,
        coalesce(max(raw_load_id), 0) as published_load_id
    from publications

),

read as (

    select
        coalesce(max(load_id), 0) as raw_load_id,
        coalesce(max(finished_at), timestamp '1970-01-01 00:00:00') as as_of
    from loads

),

bounded as (

    select
        published.has_publication,
        published.published_load_id,
        read.raw_load_id,
        read.as_of
    from published
    cross join read

)

select * from bounded
