"""Payment gateways: Stripe Checkout, and a demo that moves no money.

What both do is declared in ``billing.gateways.protocol``; here is which of them is used.
"""

from billing.gateways.protocol import Gateway
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings


def gateway_for(settings: Settings) -> Gateway:
    """The gateway with which new purchases are paid.

    With ``METERHOUSE_PAYMENTS=auto`` that is Stripe where its keys are given, else the demo.
    Raises MeterhouseError where payments are off or a key is missing.
    """
    chosen = settings.payments
    if chosen == "auto":
        has_keys = settings.stripe_secret_key or settings.stripe_webhook_secret
        chosen = "stripe" if has_keys else "demo"
    if chosen == "off":
        raise MeterhouseError("nothing can be bought here: METERHOUSE_PAYMENTS is off")
    if chosen == "demo":
        from billing.gateways.demo import DemoGateway

        return DemoGateway(settings)
    if not (settings.stripe_secret_key and settings.stripe_webhook_secret):
        raise MeterhouseError(
            "Stripe needs both METERHOUSE_STRIPE_SECRET_KEY and METERHOUSE_STRIPE_WEBHOOK_SECRET"
        )
    from billing.gateways.stripe_checkout import StripeGateway

    return StripeGateway(
        secret_key=settings.stripe_secret_key,
        webhook_secret=settings.stripe_webhook_secret,
        api_base=settings.stripe_api_base,
    )
