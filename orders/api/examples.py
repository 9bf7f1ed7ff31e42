"""Examples of the API schema: one order of two cups, from the cart to its cancellation."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_LINE = {
    "sku": "MUG-KUKSA",
    "name": "Kuksa Carved Cup",
    "quantity": 2,
    "unit_price": 3900,
    "line_total": 7800,
}
_AMOUNTS = {"currency": "EUR", "subtotal": 7800, "discount": 780, "shipping": 0, "tax": 1121, "total": 7020}
_PLACED = {"id": "01a2042b-51d4-7575-8be7-d5e5de9df91a", "number": "EVV9DXXJZG", "status": "placed", **_AMOUNTS}


def show_sent(value: dict[str, Any]) -> list[OpenApiExample]:
    """Return an example of a request body."""
    return [OpenApiExample("Two cups", value, request_only=True)]


def show_answered(value: dict[str, Any]) -> list[OpenApiExample]:
    """Return an example of a response body."""
    return [OpenApiExample("Two cups", value, response_only=True)]


REQUESTED_LINE = show_sent({"sku": "MUG-KUKSA", "quantity": 2})
CHANGED_QUANTITY = show_sent({"quantity": 1})
CANCEL_REQUEST = show_sent({"reason": "Ordered the wrong size."})
ORDER_REQUEST = show_sent(
    {
        "email": "ada@example.com",
        "phone": "+49 30 1234567",
        "shipping_address": {
            "name": "Ada Lovelace",
            "line1": "Linienstr. 1",
            "postal_code": "10119",
            "city": "Berlin",
            "country": "DE",
        },
        "lines": [{"sku": "MUG-KUKSA", "quantity": 2}],
        "payment_token": "tok_ok",
    }
)
PLACED_ORDER = show_answered(
    {
        **_PLACED,
        "lines": [_LINE],
        "placed_at": "2026-11-22T16:51:17.588142Z",
        "access_token": "4NGunUnF2wA4-ACpyMn7xl74QtZO9_SHuRpJf6JX75g",
    }
)
ORDER_DETAIL = show_answered(
    {
        **_PLACED,
        "status": "cancelled",
        "reason": "cancelled_on_request",
        "lines": [_LINE],
        "placed_at": "2026-11-22T16:51:17.588142Z",
        "confirmed_at": "2026-11-22T16:51:22.696635Z",
        "shipped_at": None,
        "delivered_at": None,
        "cancelled_at": "2026-11-22T17:02:40.120731Z",
        "waiting": None,
    }
)
CART_ANSWER = show_answered(
    {
        "id": "01a2042a-0f3c-7b1e-8c55-3f0a5f3f7a42",
        **_AMOUNTS,
        "lines": [{**_LINE, "previous_unit_price": None}],
        "no_longer_sold": [],
    }
)
