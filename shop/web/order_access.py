"""Access to an order: for its owner, and for a request with its access token, which is the signed order id.

The module in settings.ORDER_OWNERS knows the owners, so other apps need not import orders.
"""

from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.signing import Signer
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

_SESSION_KEY = "orders"
#: The header for the API's schema.
ORDER_TOKEN = OpenApiParameter(
    "X-Order-Token",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `access_token` of the response that confirmed the order. Not needed if the owner is logged in.",
)


def sign_order(order_id: UUID) -> str:
    """Return the access token of the order."""
    return Signer(salt="order-access").signature(str(order_id))


def opens_order(token: str, order_id: UUID) -> bool:
    """Return whether `token` is the access token of the order."""
    return constant_time_compare(token, sign_order(order_id))


def remember_order(request: HttpRequest, order_id: UUID) -> None:
    """Give this visitor's session access to the order. The session keeps the newest 20 orders."""
    known = [known for known in request.session.get(_SESSION_KEY, []) if known != str(order_id)]
    request.session[_SESSION_KEY] = [*known, str(order_id)][-20:]


def owns_order(user: Any, order_id: UUID) -> bool:
    """Return whether `user` placed the order while logged in. None means no user."""
    if user is None or not (user.is_authenticated and user.is_active):
        return False
    return bool(import_module(settings.ORDER_OWNERS).owns_order(user.pk, order_id))


def list_own_orders(user: Any) -> QuerySet[Any, UUID]:
    """Return a subquery with the ids of the orders that `user` placed while logged in."""
    ids: QuerySet[Any, UUID] = import_module(settings.ORDER_OWNERS).list_order_ids(user.pk)
    return ids


def may_see_order(request: HttpRequest, order_id: UUID) -> bool:
    """Return whether the visitor of a page placed the order, has its token (``?token=``), or is staff."""
    if str(order_id) in request.session.get(_SESSION_KEY, []):
        return True
    if opens_order(request.GET.get("token", ""), order_id):
        return True
    if request.user.is_active and request.user.is_staff:
        return True
    return owns_order(request.user, order_id)


def may_read_order(request: Request, order_id: UUID) -> bool:
    """Return whether the API client sends the order's token (``X-Order-Token``) or is its owner."""
    return opens_order(request.headers.get("X-Order-Token", ""), order_id) or owns_order(request.user, order_id)
