-- Grain: one row a lot of credits.

with

lots as (

    select * from {{ ref('fct_credit_lot') }}

),

final as (

    select
        account_id,
        lot_id,
        purchase_id,
        kind,
        status,
        reason,
        burn_rank,
        priority,
        granted_credits,
        consumed_credits,
        forfeited_credits,
        remaining_credits,
        currency,
        paid_minor,
        recognised_minor,
        deferred_minor,
        effective_at,
        expires_at,
        voided_at,
        last_used_at
    from lots

)

select * from final
