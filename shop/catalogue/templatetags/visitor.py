"""The template tag ``{% visitor_part "count" %}``."""

from django import template
from django.template.context import Context
from django.utils.safestring import SafeString, mark_safe

from shop.catalogue.shared_pages import make_placeholder
from shop.catalogue.visitor_parts import render_part

register = template.Library()


@register.simple_tag(takes_context=True)
def visitor_part(context: Context, name: str) -> SafeString:
    """Return the part `name` of the request's visitor, or the part's placeholder without a request."""
    return mark_safe(render_part(name, context) if "request" in context else make_placeholder(name))
