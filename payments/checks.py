"""System checks of payments for `manage.py check --deploy`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def refuse_the_sandbox(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning if the shop uses the sandbox gateway, which accepts test tokens and moves no money."""
    if not settings.SANDBOX_IS_USED:
        return []
    hint = "Set PAYMENT_GATEWAY=stripe, STRIPE_KEY and STRIPE_WEBHOOK_SECRET."
    return [Warning("The shop uses the sandbox gateway, which moves no money.", hint=hint, id="payments.W001")]
