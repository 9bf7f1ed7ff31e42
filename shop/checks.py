"""System checks of the shop for `manage.py check --deploy`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from shop.production import Risk, find_risks


@register(Tags.security, deploy=True)
def check_risks(**options: Any) -> list[CheckMessage]:
    """Return an error for each risk of the settings, or a warning if the environment accepts the risk."""
    found: list[CheckMessage] = [describe_risk(risk) for risk in find_risks(settings)]
    if not settings.PRODUCTION:
        hint = "Set PRODUCTION=1. The settings then refuse to start with a risk that no variable accepts."
        found.insert(0, Error("PRODUCTION is not set: the shop runs with local defaults.", hint=hint, id="shop.E000"))
    return found


def describe_risk(risk: Risk) -> CheckMessage:
    """Return the message about one risk."""
    kind, letter = (Warning, "W") if risk.accepted else (Error, "E")
    return kind(f"{risk.problem}.", hint=risk.advice, id=f"shop.{letter}{risk.rule.number:03}")
