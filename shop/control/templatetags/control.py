"""Filters for figures. Unknown figures are shown as unknown, never as 0."""

from datetime import UTC, datetime

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


@register.filter
def exact_duration(seconds: float | None) -> str:
    """Return seconds as text with a tenth below 100 s, or unknown."""
    return f"{seconds:.1f} s" if seconds is not None and seconds < 100 else duration(seconds)


@register.filter
def clock(seconds: float) -> str:
    """Return a Unix time as text, for example 12:05:10 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"
