"""Filters for shares. Unknown shares are shown as unknown, never as 0."""

from django import template

register = template.Library()


@register.filter
def share(value: float | None) -> str:
    """Return a share as text, for example 12.5 %."""
    return "unknown" if value is None else f"{value:.1%}"


@register.filter
def percent(value: float | None) -> float:
    """Return a share as a width from 0 to 100 for a drawing."""
    return 0 if value is None else round(100 * value, 2)
