"""What `check --deploy` says about money."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def refuse_the_sandbox(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a gateway in production that takes everybody's tokens and moves no money."""
    if not settings.SANDBOX_IS_USED:
        return []
    hint = "Set PAYMENT_GATEWAY=stripe, STRIPE_KEY and STRIPE_WEBHOOK_SECRET."
    return [Warning("Orders are paid for at the sandbox gateway: with no money.", hint=hint, id="payments.W001")]
