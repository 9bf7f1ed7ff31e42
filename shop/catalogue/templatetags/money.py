"""The template filter ``{{ price|money:currency }}``."""

from django import template

from shop.catalogue.money import format_money

register = template.Library()


@register.filter
def money(amount: int, currency: str) -> str:
    """Return `amount` minor units of `currency` as text."""
    return format_money(amount, currency)
