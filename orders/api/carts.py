"""The API operations of carts. The id alone gives access to a guest's cart; a customer's cart needs the log-in."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.api.placement import find_caller
from orders.api.serializers import CartAnswer, CartQuery, ChangedQuantity, RequestedLine
from orders.cart.storage import (
    CartFull,
    CartGone,
    NotSold,
    change_quantity,
    create_cart,
    describe_cart,
    find_cart,
)
from orders.models import Cart
from orders.prices.promotions import UnusableCode
from shop.web.problems import Problem

_GONE = OpenApiResponse(
    Problem, description="The cart does not exist, belongs to another customer, or was already ordered."
)
_WRONG = OpenApiResponse(Problem, description="A field is wrong, or the shop does not sell the product.")
_QUERY: list[Any] = [CartQuery]


def find_customer_id(request: Request) -> int | None:
    """Return the id of the logged-in customer, or None for a guest."""
    caller = find_caller(request)
    return caller.pk if caller else None


def answer_cart(request: Request, cart_id: UUID, code: int = status.HTTP_200_OK, **headers: str) -> Response:
    """Return a response with the cart, priced for the country and the promotion code of the query."""
    query = CartQuery(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    wanted = query.validated_data
    try:
        cart = describe_cart(cart_id, wanted.get("country", ""), wanted.get("promotion_code", ""))
    except UnusableCode as error:
        raise ValidationError(error.errors) from error
    return Response(CartAnswer(cart).data, status=code, headers=headers)


def open_cart(request: Request, cart_id: UUID, *, lock: bool = False) -> Cart:
    """Return the cart. With `lock`, lock its row.

    :raises NotFound: the cart does not exist or belongs to another customer.
    """
    try:
        return find_cart(cart_id, find_customer_id(request), lock=lock)
    except CartGone as error:
        raise NotFound("No cart with this id belongs to you.") from error


def change_line(request: Request, cart_id: UUID, sku: str, quantity: int, *, add: bool = False) -> None:
    """Set the quantity of `sku` in the cart, or increase it if `add`.

    :raises NotFound: the cart does not exist or belongs to another customer.
    :raises ValidationError: the shop does not sell the product, or the cart is full.
    """
    try:
        change_quantity(cart_id, find_customer_id(request), sku, quantity, add=add)
    except CartGone as error:
        raise NotFound("No cart with this id belongs to you.") from error
    except (NotSold, CartFull) as error:
        raise ValidationError({"sku": [str(error)]}) from error


class CartList(APIView):
    """Creation of carts."""

    permission_classes = [AllowAny]

    @extend_schema(operation_id="carts_create", summary="Create a cart", request=None, responses={201: CartAnswer})
    def post(self, request: Request) -> Response:
        """Create an empty cart. A logged-in customer who already has a cart gets that cart."""
        cart_id = create_cart(find_customer_id(request))
        location = request.build_absolute_uri(reverse("cart-detail", args=[cart_id]))
        return answer_cart(request, cart_id, status.HTTP_201_CREATED, Location=location)


class CartView(APIView):
    """A cart."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="carts_retrieve",
        summary="Read a cart and the amounts of its order",
        parameters=_QUERY,
        responses={200: CartAnswer, 400: _WRONG, 404: _GONE},
    )
    def get(self, request: Request, cart_id: UUID) -> Response:
        """Read a cart at current prices."""
        return answer_cart(request, open_cart(request, cart_id).pk)

    @extend_schema(operation_id="carts_destroy", summary="Delete a cart", responses={204: None, 404: _GONE})
    def delete(self, request: Request, cart_id: UUID) -> Response:
        """Delete a cart and its lines."""
        with transaction.atomic():
            # Django deletes the lines first. Without the lock this could deadlock with a change that holds the cart.
            open_cart(request, cart_id, lock=True).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class CartLineList(APIView):
    """Addition of products to a cart."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="carts_lines_create",
        summary="Add a product to a cart",
        request=RequestedLine,
        responses={200: CartAnswer, 400: _WRONG, 404: _GONE},
    )
    def post(self, request: Request, cart_id: UUID) -> Response:
        """Increase the quantity of a product by `quantity`. A line holds at most 999 pieces."""
        line = RequestedLine(data=request.data)
        line.is_valid(raise_exception=True)
        change_line(request, cart_id, line.validated_data["sku"], line.validated_data["quantity"], add=True)
        return answer_cart(request, cart_id)


class CartLineView(APIView):
    """A line of a cart."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="carts_lines_update",
        summary="Set the quantity of a product",
        parameters=[OpenApiParameter("sku", str, OpenApiParameter.PATH)],
        request=ChangedQuantity,
        responses={200: CartAnswer, 400: _WRONG, 404: _GONE},
    )
    def put(self, request: Request, cart_id: UUID, sku: str) -> Response:
        """Set the quantity of a product. A product that is not in the cart is added."""
        wanted = ChangedQuantity(data=request.data)
        wanted.is_valid(raise_exception=True)
        change_line(request, cart_id, sku, wanted.validated_data["quantity"])
        return answer_cart(request, cart_id)

    @extend_schema(
        operation_id="carts_lines_destroy",
        summary="Remove a product from the cart",
        parameters=[OpenApiParameter("sku", str, OpenApiParameter.PATH)],
        responses={204: None, 404: _GONE},
    )
    def delete(self, request: Request, cart_id: UUID, sku: str) -> Response:
        """Remove a product. If the product is not in the cart, nothing changes."""
        change_line(request, cart_id, sku, 0)
        return Response(status=status.HTTP_204_NO_CONTENT)
