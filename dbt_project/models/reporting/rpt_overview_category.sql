-- Grain: one row an account, a month in its time zone and a category with usage.

with

months as (

    select * from {{ ref('fct_usage_monthly') }}

),

categories as (

    select * from {{ ref('dim_category') }}

),

summed as (

    select
        account_id,
        month,
        category,
        cast(sum(credits) as decimal(38, 9)) as credits,
        cast(sum(events) as bigint) as events,
        cast(sum(unrated_events) as bigint) as unrated_events
    from months
    group by
        account_id,
        month,
        category

),

shared as (

    select
        summed.account_id,
        summed.month,
        summed.category,
        coalesce(categories.label, summed.category) as label,
        coalesce(categories.sort_order, 99) as sort_order,
        summed.credits,
        {{ ratio(
            'summed.credits',
            'sum(summed.credits) over (partition by summed.account_id, summed.month)',
            9, 6
        ) }} as share,
        summed.events,
        summed.unrated_events
    from summed
    left join categories
        on summed.category = categories.category

)

select * from shared
