"""The frame of every page: the shop's name, its shelves, the price of delivery and from where delivery is free."""

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
    # orders.prices.amounts charges by the same two settings.
    "delivery_price": format_money(settings.SHIPPING_PRICE, settings.SHOP_CURRENCY),
    "free_delivery_from": format_money(settings.SHIPPING_FREE_FROM, settings.SHOP_CURRENCY),
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """The frame's variables; the shelves are read only when a template asks."""
    return {
        **_FRAME,
        "categories": list_categories,
        # The session says so; whether that log-in still holds would need the database.
        "logged_in": SESSION_KEY in request.session if hasattr(request, "session") else False,
    }


def describe_frame() -> dict[str, Any]:
    """The frame's variables that are equal for all visitors.

    :raises DatabaseError: the shelves cannot be read.
    """
    return {**_FRAME, "categories": list(Category.objects.all())}


def list_categories() -> list[Category]:
    """Every shelf; none while the database is away, so that a page can still say so."""
    try:
        return list(Category.objects.all())
    except DatabaseError as error:
        logger.warning("categories unavailable", extra={"error": str(error).strip()})
        return []
