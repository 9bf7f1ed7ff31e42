"""Access to an order: for its customer, and for staff with permission.

The customer is the owner, who placed the order while logged in, or the holder of its access token, which is the signed
order id. Staff may only look: they change orders in the admin, where each change needs a permission and is audited.

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

from shop.accounts.sessions import open_session
from shop.keys import list_keys

_SESSION_KEY = "orders"
#: The permissions that staff need to see orders, and to see names and addresses.
VIEW_ORDER, VIEW_CONTACT = "orders.view_order", "contacts.view_contact"
#: The header for the API's schema.
ORDER_TOKEN = OpenApiParameter(
    "X-Order-Token",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `access_token` of the response that confirmed the order. Not needed if the owner is logged in.",
)


def sign_order(order_id: UUID) -> str:
    """Return the access token of the order."""
    return _sign(order_id, settings.SECRET_KEY)


def _sign(order_id: UUID, key: str) -> str:
    return Signer(key=key, salt="order-access").signature(str(order_id))


def opens_order(token: str, order_id: UUID) -> bool:
    """Return whether `token` is the access token of the order, signed with any of the shop's keys."""
    return bool(token) and any(constant_time_compare(token, _sign(order_id, key)) for key in list_keys())


def remember_order(request: HttpRequest, order_id: UUID) -> None:
    """Give this visitor's session access to the order. The session keeps the newest 20 orders."""
    known = [known for known in list_known(request) if known != str(order_id)]
    request.session[_SESSION_KEY] = [*known, str(order_id)][-20:]


def list_known(request: HttpRequest) -> list[str]:
    """Return the ids of the orders that this visitor's session has access to."""
    known: list[str] = open_session(request).get(_SESSION_KEY, [])
    return known


def owns_order(user: Any, order_id: UUID) -> bool:
    """Return whether `user` placed the order while logged in. None means no user."""
    if user is None or not (user.is_authenticated and user.is_active):
        return False
    return bool(import_module(settings.ORDER_OWNERS).owns_order(user.pk, order_id))


def list_own_orders(user: Any) -> QuerySet[Any, UUID]:
    """Return a subquery with the ids of the orders that `user` placed while logged in."""
    ids: QuerySet[Any, UUID] = import_module(settings.ORDER_OWNERS).list_order_ids(user.pk)
    return ids


def is_customer(request: HttpRequest, order_id: UUID) -> bool:
    """Return whether the visitor of a page placed the order or has its token (``?token=``).

    A staff account is the customer only of its own orders: staff can read tokens in customers' letters.
    """
    if request.user.is_staff:
        return owns_order(request.user, order_id)
    if str(order_id) in list_known(request) or opens_order(request.GET.get("token", ""), order_id):
        return True
    return owns_order(request.user, order_id)


def may_see_order(request: HttpRequest, order_id: UUID) -> bool:
    """Return whether the visitor of a page is the order's customer, or staff with the permission for it."""
    return is_customer(request, order_id) or is_staff_with(request.user, VIEW_ORDER)


def is_staff_with(user: Any, *permissions: str) -> bool:
    """Return whether `user` is staff with all of `permissions`. An inactive user has none."""
    return bool(user.is_staff and user.has_perms(permissions))


def may_read_order(request: Request, order_id: UUID) -> bool:
    """Return whether the API client sends the order's token (``X-Order-Token``) or is its owner."""
    return opens_order(request.headers.get("X-Order-Token", ""), order_id) or owns_order(request.user, order_id)
