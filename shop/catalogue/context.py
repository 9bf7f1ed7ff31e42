"""Template variables of all pages: the shop's name, the categories, and the price and the limit of free delivery."""

import logging
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import DatabaseError
from django.http import HttpRequest

from shop.catalogue.models import Category
from shop.catalogue.money import format_money

logger = logging.getLogger(__name__)
_FRAME = {
    "shop_name": settings.SHOP_NAME,
    # orders.prices uses the same two settings.
    "delivery_price": format_money(settings.SHIPPING_PRICE, settings.SHOP_CURRENCY),
    "free_delivery_from": format_money(settings.SHIPPING_FREE_FROM, settings.SHOP_CURRENCY),
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the variables of all pages (a context processor). Categories are read only if a template uses them."""
    return {
        **_FRAME,
        "categories": list_categories,
        # The session's value is enough: a check whether the log-in is still valid would need a query.
        "logged_in": SESSION_KEY in request.session if hasattr(request, "session") else False,
    }


def describe_frame() -> dict[str, Any]:
    """Return the variables that are the same for all visitors.

    :raises DatabaseError: the categories can't be read.
    """
    return {**_FRAME, "categories": list(Category.objects.all())}


def list_categories() -> list[Category]:
    """Return all categories, or an empty list while the database is down, so that error pages can be rendered."""
    try:
        return list(Category.objects.all())
    except DatabaseError as error:
        logger.warning("categories unavailable", extra={"error": str(error).strip()})
        return []
