"""Filters for figures. Unknown figures are shown as unknown, never as 0."""

from django import template

from shop.control.verdict import format_seconds

register = template.Library()


@register.filter
def duration(seconds: float | None) -> str:
    """Return seconds as text, for example 9 s or 3 min 20 s."""
    return "unknown" if seconds is None else format_seconds(seconds)


@register.filter
def rate(per_second: float | None) -> str:
    """Return events per second as text, for example 12.3/s."""
    return "unknown" if per_second is None else f"{per_second:,.1f}/s"
