"""What every page's frame shows: the shop's name, its shelves and how much is in the cart."""

import logging
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import DatabaseError
from django.http import HttpRequest

from shop.catalogue.models import Category

logger = logging.getLogger(__name__)


def shell(request: HttpRequest) -> dict[str, Any]:
    """The frame's variables. The cart is read from the session's cookie; the shelves only when a template asks."""
    cart = request.session.get("cart", {}) if hasattr(request, "session") else {}
    return {
        "shop_name": settings.SHOP_NAME,
        "cart_count": sum(cart.values()),
        "categories": list_categories,
        # The session says so; whether that log-in still holds would need the database.
        "logged_in": SESSION_KEY in request.session if hasattr(request, "session") else False,
    }


def list_categories() -> list[Category]:
    """Every shelf; none while the database is away, so that a page can still say so."""
    try:
        return list(Category.objects.all())
    except DatabaseError as error:
        logger.warning("categories unavailable", extra={"error": str(error).strip()})
        return []
