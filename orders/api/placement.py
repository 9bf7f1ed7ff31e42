"""The API operation that places an order."""

from typing import Any

import msgspec
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request

from orders.api.body import read_order
from orders.api.history import OwnOrders
from orders.api.serializers import OrderRequest, PlacedOrder
from orders.checkout.placement import IdempotencyKeyReused, Placement, place_order
from orders.prices.amounts import OrderRefused, PriceChanged
from shop.web.problems import Problem, flatten_errors, problem

_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    required=True,
    description="1 to 255 visible ASCII characters, a new value for each order. After an error, repeat the request with"
    " the same key: the shop places one order for each key. Keys of other callers do not conflict with yours. The shop"
    " stores keys for at least seven days.",
)
_encode = msgspec.json.Encoder().encode


class OrderList(OwnOrders):
    """Placement of orders, and the list of a customer's orders."""

    def get_permissions(self) -> list[BasePermission]:
        """Return the permissions: everyone may place an order; the list needs a log-in."""
        return [IsAuthenticated()] if self.request.method in ("GET", "HEAD") else [AllowAny()]

    @extend_schema(
        operation_id="orders_create",
        summary="Place an order",
        parameters=[_KEY],
        request=OrderRequest,
        responses={
            201: PlacedOrder,
            400: OpenApiResponse(Problem, description="A field is wrong, or the Idempotency-Key is missing."),
            409: OpenApiResponse(
                Problem, description="A price differs from the price that the customer saw. No order was placed."
            ),
            413: OpenApiResponse(Problem, description="The body is larger than 64 KB."),
            422: OpenApiResponse(Problem, description="The Idempotency-Key was used with a different body."),
            503: OpenApiResponse(
                Problem, description="Repeat the request with the same key after `Retry-After` seconds."
            ),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Place an order. The shop reserves the stock and authorizes the payment after this response."""
        key = read_idempotency_key(request)
        wanted = read_body(request)
        try:
            placement = place_order(idempotency_key=key, request=wanted, caller=find_caller(request))
        except IdempotencyKeyReused as error:
            return problem(422, str(error), [{"field": "Idempotency-Key", "message": str(error)}])
        except PriceChanged as error:
            errors = list(flatten_errors(error.errors))
            return problem(409, " ".join(e["message"] for e in errors), errors)
        except OrderRefused as error:
            raise ValidationError(error.errors) from error
        return answer_placement(request._request, placement)


def read_body(request: Request) -> dict[str, Any]:
    """Return the validated body of an order.

    :raises APIException: the media type or the body is not JSON, or a field is wrong.
    """
    plain = request._request  # each attribute of Django's request takes 1 us through DRF's Request
    if plain.META.get("CONTENT_TYPE") == "application/json" and (wanted := read_order(plain.body)) is not None:
        return wanted
    body = OrderRequest(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def answer_placement(request: HttpRequest, placement: Placement) -> HttpResponse:
    """Return the response to a placed order. A repeated request gets the same bytes."""
    answer = HttpResponse(_encode(placement.answer), status=201, content_type="application/json")
    answer["Location"] = f"{request.scheme}://{request.get_host()}{request.path}{placement.answer['id']}/"
    if placement.replayed:
        answer["Idempotency-Replayed"] = "true"
    return answer


def find_caller(request: Request) -> AbstractBaseUser | None:
    """Return the logged-in customer, or None for a guest."""
    user = request.user
    return user if isinstance(user, AbstractBaseUser) else None


def read_idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key header.

    :raises ValidationError: the header is missing, too long, or has characters other than visible ASCII.
    """
    key: Any = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    if not key:
        raise ValidationError({"Idempotency-Key": ["Send this header with a new random value for each order."]})
    if not is_key(key):
        raise ValidationError({"Idempotency-Key": ["Send at most 255 visible ASCII characters."]})
    return str(key)


def is_key(key: str) -> bool:
    """Return whether `key` has 1 to 255 visible ASCII characters."""
    return 0 < len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key
