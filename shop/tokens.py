"""Who may see an order: whoever shows its access token, which is the order's id, signed. Nothing is stored."""

from uuid import UUID

from django.core.signing import Signer
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

_SESSION_KEY = "orders"


def sign_order(order_id: UUID) -> str:
    """Return the access token of an order."""
    return Signer(salt="order-access").signature(str(order_id))


def opens_order(token: str, order_id: UUID) -> bool:
    """Tell whether `token` is the access token of this order."""
    return constant_time_compare(token, sign_order(order_id))


def remember_order(request: HttpRequest, order_id: UUID) -> None:
    """Let this visitor's session see the order, the newest 20 of them."""
    known = [known for known in request.session.get(_SESSION_KEY, []) if known != str(order_id)]
    request.session[_SESSION_KEY] = [*known, str(order_id)][-20:]


def may_see_order(request: HttpRequest, order_id: UUID) -> bool:
    """Tell whether this page's visitor placed the order, came with its token (``?token=``), or is staff."""
    if str(order_id) in request.session.get(_SESSION_KEY, []):
        return True
    if opens_order(request.GET.get("token", ""), order_id):
        return True
    return bool(request.user.is_active and request.user.is_staff)
