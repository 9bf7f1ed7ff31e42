"""The REST API of orders."""

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
    description="1 to 255 visible ASCII characters, new for each order. Sending the same again is always safe."
    " A key is its caller's own, and is remembered for at least seven days.",
)
_encode = msgspec.json.Encoder().encode


class OrderList(OwnOrders):
    """Where orders are placed, and listed for their owner."""

    def get_permissions(self) -> list[BasePermission]:
        """Anybody may order; only who is logged in has orders to list."""
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
                Problem, description="A price is not what the customer was shown. Nothing is ordered."
            ),
            413: OpenApiResponse(Problem, description="The body is over 64 KB."),
            422: OpenApiResponse(Problem, description="The Idempotency-Key was used with another body."),
            503: OpenApiResponse(Problem, description="Try again after `Retry-After` seconds, with the same key."),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Place an order. Whether the goods are there and the payment works out is found afterwards."""
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

    :raises APIException: the media type is not JSON, the body is not JSON, or a field is wrong.
    """
    plain = request._request  # DRF's Request searches itself first for each attribute of Django's request: 1 us each
    if plain.META.get("CONTENT_TYPE") == "application/json" and (wanted := read_order(plain.body)) is not None:
        return wanted
    body = OrderRequest(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def answer_placement(request: HttpRequest, placement: Placement) -> HttpResponse:
    """The answer to a placed order, the same bytes whenever it is repeated."""
    answer = HttpResponse(_encode(placement.answer), status=201, content_type="application/json")
    answer["Location"] = f"{request.scheme}://{request.get_host()}{request.path}{placement.answer['id']}/"
    if placement.replayed:
        answer["Idempotency-Replayed"] = "true"
    return answer


def find_caller(request: Request) -> AbstractBaseUser | None:
    """The customer who is logged in, None for a guest."""
    user = request.user
    return user if isinstance(user, AbstractBaseUser) else None


def read_idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key header.

    :raises ValidationError: it is missing, too long, or has other than visible ASCII characters.
    """
    key: Any = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    if not key:
        raise ValidationError({"Idempotency-Key": ["Send this header: a new random value for each order."]})
    if not is_key(key):
        raise ValidationError({"Idempotency-Key": ["Give at most 255 visible ASCII characters."]})
    return str(key)


def is_key(key: str) -> bool:
    """Tell whether it is 1 to 255 visible ASCII characters."""
    return 0 < len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key
