"""The REST API of carts. A guest's cart is opened by its id alone, a customer's by the customer's own log-in."""

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

_GONE = OpenApiResponse(Problem, description="There is no such cart, it is another customer's, or it is an order now.")
_WRONG = OpenApiResponse(Problem, description="A field is wrong, or the product is not sold.")
_QUERY: list[Any] = [CartQuery]


def find_customer_id(request: Request) -> int | None:
    """The id of the customer who is logged in, None for a guest."""
    caller = find_caller(request)
    return caller.pk if caller else None


def answer_cart(request: Request, cart_id: UUID, code: int = status.HTTP_200_OK, **headers: str) -> Response:
    """Answer with the cart, priced for what the query says."""
    query = CartQuery(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    wanted = query.validated_data
    try:
        cart = describe_cart(cart_id, wanted.get("country", ""), wanted.get("promotion_code", ""))
    except UnusableCode as error:
        raise ValidationError(error.errors) from error
    return Response(CartAnswer(cart).data, status=code, headers=headers)


def open_cart(request: Request, cart_id: UUID, *, lock: bool = False) -> Cart:
    """Return the cart, locked if that is wanted.

    :raises NotFound: there is none, or it is another customer's.
    """
    try:
        return find_cart(cart_id, find_customer_id(request), lock=lock)
    except CartGone as error:
        raise NotFound("There is no such cart.") from error


def change_line(request: Request, cart_id: UUID, sku: str, quantity: int, *, add: bool = False) -> None:
    """Change a line of the cart.

    :raises NotFound: there is no such cart.
    :raises ValidationError: the product is not sold, or the cart is full.
    """
    try:
        change_quantity(cart_id, find_customer_id(request), sku, quantity, add=add)
    except CartGone as error:
        raise NotFound("There is no such cart.") from error
    except (NotSold, CartFull) as error:
        message = str(error)
        raise ValidationError({"sku": [message[0].upper() + message[1:].rstrip(".") + "."]}) from error


class CartList(APIView):
    """Where carts are made."""

    permission_classes = [AllowAny]

    @extend_schema(operation_id="carts_create", summary="Make a cart", request=None, responses={201: CartAnswer})
    def post(self, request: Request) -> Response:
        """Make an empty cart. A customer who is logged in has one, and gets it again."""
        cart_id = create_cart(find_customer_id(request))
        location = request.build_absolute_uri(reverse("cart-detail", args=[cart_id]))
        return answer_cart(request, cart_id, status.HTTP_201_CREATED, Location=location)


class CartView(APIView):
    """One cart."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="carts_retrieve",
        summary="Read a cart and what it would cost",
        parameters=_QUERY,
        responses={200: CartAnswer, 400: _WRONG, 404: _GONE},
    )
    def get(self, request: Request, cart_id: UUID) -> Response:
        """Read a cart at today's prices."""
        return answer_cart(request, open_cart(request, cart_id).pk)

    @extend_schema(operation_id="carts_destroy", summary="Delete a cart", responses={204: None, 404: _GONE})
    def delete(self, request: Request, cart_id: UUID) -> Response:
        """Delete a cart with all that is in it."""
        with transaction.atomic():
            # Its lines go first; without the lock a change of one, which holds the cart, and this wait for each other.
            open_cart(request, cart_id, lock=True).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class CartLineList(APIView):
    """Where things are put into a cart."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="carts_lines_create",
        summary="Put something into a cart",
        request=RequestedLine,
        responses={200: CartAnswer, 400: _WRONG, 404: _GONE},
    )
    def post(self, request: Request, cart_id: UUID) -> Response:
        """Add so many more of a product; a line holds at most 999."""
        line = RequestedLine(data=request.data)
        line.is_valid(raise_exception=True)
        change_line(request, cart_id, line.validated_data["sku"], line.validated_data["quantity"], add=True)
        return answer_cart(request, cart_id)


class CartLineView(APIView):
    """One line of a cart."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="carts_lines_update",
        summary="Set how many of it there are",
        parameters=[OpenApiParameter("sku", str, OpenApiParameter.PATH)],
        request=ChangedQuantity,
        responses={200: CartAnswer, 400: _WRONG, 404: _GONE},
    )
    def put(self, request: Request, cart_id: UUID, sku: str) -> Response:
        """Set the quantity of a product, which is put in if it was not there."""
        wanted = ChangedQuantity(data=request.data)
        wanted.is_valid(raise_exception=True)
        change_line(request, cart_id, sku, wanted.validated_data["quantity"])
        return answer_cart(request, cart_id)

    @extend_schema(
        operation_id="carts_lines_destroy",
        summary="Take it out of the cart",
        parameters=[OpenApiParameter("sku", str, OpenApiParameter.PATH)],
        responses={204: None, 404: _GONE},
    )
    def delete(self, request: Request, cart_id: UUID, sku: str) -> Response:
        """Take a product out; one that is not there is no error."""
        change_line(request, cart_id, sku, 0)
        return Response(status=status.HTTP_204_NO_CONTENT)
