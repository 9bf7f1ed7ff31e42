"""Filters of the recorder: times with milliseconds, and numbers for SVG."""

from datetime import datetime

from django import template

register = template.Library()


@register.filter
def clock(at: datetime, now: datetime) -> str:
    """Return a time with milliseconds, and with its day if the day is not the day of `now`."""
    time = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
    return time if at.date() == now.date() else f"{at:%-d %b %Y}, {time}"


@register.filter
def plain(number: float) -> str:
    """Return a number with at most one decimal, without a locale's separators."""
    return f"{number:.1f}".removesuffix(".0")
