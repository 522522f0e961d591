-- Grain: one row a publication of the marts.

with

publication as (

    select * from {{ source('meta', 'publication') }}

),

renamed as (

    select
        publication_id,
        published_at,
        marts_snapshot,
        raw_snapshot,
        raw_load_id
    from publication

)

select * from renamed
