"""``{{ price|money:currency }}``."""

from django import template

from shop.catalogue.money import format_money

register = template.Library()


@register.filter
def money(amount: int, currency: str) -> str:
    """Show minor units of a currency to people."""
    return format_money(amount, currency)
