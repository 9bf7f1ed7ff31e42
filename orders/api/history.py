"""The API operations that read orders: a customer's list, an order, its history and its live updates."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.api.serializers import OrderDetail
from orders.models import Order
from shop.web.live_address import find_live_base
from shop.web.order_access import ORDER_TOKEN, may_read_order
from shop.web.paging import MAX_PAGE_SIZE, CursorPages
from shop.web.problems import Problem, problem

_NOT_YOURS = OpenApiResponse(Problem, "The order does not exist or belongs to another customer.")
_SUMMARY = {
    "id": "01a2042b-51d4-7575-8be7-d5e5de9df91a",
    "number": "EVV9DXXJZG",
    "status": "cancelled",
    "reason": "out_of_stock",
    "currency": "EUR",
    "total": 7800,
    "placed_at": "2026-11-22T16:51:17.588142Z",
}
_HAPPENED = [
    {"event": "OrderPlaced", "status": "placed", "at": "2026-11-22T16:51:17.588142Z"},
    {"event": "StockRejected", "status": "cancelled", "at": "2026-11-22T16:51:18.204301Z"},
]
_BELL = OpenApiExample(
    "A change",
    "event: order\ndata: 01a2042b-51d4-7575-8be7-d5e5de9df91a\n\n",
    media_type="text/event-stream",
    response_only=True,
    status_codes=["200"],
)
STATUSES = Order.Status.values


class OrderSummary(serializers.Serializer[Any]):
    """An order in a list."""

    id = serializers.UUIDField()
    number = serializers.CharField()
    status = serializers.ChoiceField(STATUSES)
    reason = serializers.CharField(help_text="Reason for the cancellation; empty if the order is not cancelled.")
    currency = serializers.CharField()
    total = serializers.IntegerField(help_text="In minor units of the currency.")
    placed_at = serializers.DateTimeField()


class Happened(serializers.Serializer[Any]):
    """A step of an order's history."""

    event = serializers.CharField(help_text="The event of this step, for example StockReserved.")
    status = serializers.ChoiceField(STATUSES, source="after", help_text="The order's status after this step.")
    at = serializers.DateTimeField()


class OrderQuery(serializers.Serializer[Any]):
    """The query parameters of the list of orders."""

    status = serializers.ChoiceField(STATUSES, required=False)
    placed_from = serializers.DateTimeField(required=False, help_text="Only orders placed at this time or later.")
    placed_until = serializers.DateTimeField(required=False, help_text="Only orders placed before this time.")
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE_SIZE)


class OrderPages(CursorPages):
    """Pages of orders, newest first."""

    ordering = ("-placed_at", "-id")


@method_decorator(never_cache, name="get")
class OwnOrders(generics.ListAPIView[Order]):
    """The orders of the logged-in customer."""

    serializer_class = OrderSummary
    pagination_class = OrderPages

    @extend_schema(
        operation_id="orders_list",
        summary="List your orders",
        parameters=[OrderQuery(required=False)],
        examples=[OpenApiExample("A cancelled order", _SUMMARY, response_only=True)],
        responses={
            200: OrderSummary(many=True),
            400: OpenApiResponse(Problem, "A parameter is wrong."),
            401: OpenApiResponse(Problem, "The request has no log-in."),
        },
    )
    def get(self, request: Request, *args: Any, **options: Any) -> Response:
        """List the orders that you placed while logged in, newest first."""
        return super().get(request, *args, **options)

    def get_queryset(self) -> QuerySet[Order]:
        query = OrderQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        orders = Order.objects.filter(customer_id=self.request.user.pk)
        if "status" in asked:
            orders = orders.filter(status=asked["status"])
        if "placed_from" in asked:
            orders = orders.filter(placed_at__gte=asked["placed_from"])
        if "placed_until" in asked:
            orders = orders.filter(placed_at__lt=asked["placed_until"])
        return orders


@method_decorator(never_cache, name="dispatch")
class OrderView(APIView):
    """An order."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="orders_retrieve",
        summary="Read an order",
        parameters=[ORDER_TOKEN],
        responses={
            200: OrderDetail,
            401: OpenApiResponse(Problem, "The token is wrong."),
            404: _NOT_YOURS,
        },
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """Read the current state of an order."""
        return Response(OrderDetail(get_readable_order(request, order_id)).data)


@method_decorator(never_cache, name="dispatch")
class OrderTimeline(APIView):
    """The history of an order."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="orders_timeline",
        summary="Read an order's history",
        parameters=[ORDER_TOKEN],
        examples=[OpenApiExample("Sold out", _HAPPENED, response_only=True)],
        responses={
            200: Happened(many=True),
            401: OpenApiResponse(Problem, "The token is wrong."),
            404: _NOT_YOURS,
        },
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """Read the steps of an order's history, oldest first."""
        return Response(Happened(get_readable_order(request, order_id).history.all(), many=True).data)


@method_decorator(never_cache, name="dispatch")
class OrderEvents(APIView):
    """The live updates of an order, which the live process serves."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="orders_events",
        summary="Listen to an order",
        parameters=[ORDER_TOKEN],
        examples=[_BELL],
        responses={
            (200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, "Server-sent events."),
            307: OpenApiResponse(description="Send the request to this address, with the same headers."),
            404: _NOT_YOURS,
            503: OpenApiResponse(Problem, "Too many streams: read the order again after `Retry-After` seconds."),
        },
    )
    def get(self, request: Request, order_id: UUID) -> HttpResponseBase:
        """Listen to an order by server-sent events.

        An event `order` with the order's id arrives at the beginning and after each change: read the order then. An
        event `bye` with a number of milliseconds says that the stream ends: connect again after this time.
        """
        get_readable_order(request, order_id)
        base = find_live_base(request._request)
        if not base:
            return problem(503, "The live process does not serve this address: the proxy sends it to the web process.")
        response = HttpResponse(status=307)
        response["Location"] = base + request.path
        return response


def get_readable_order(request: Request, order_id: UUID) -> Order:
    """Return the order if the caller may read it.

    :raises NotFound: the order does not exist or belongs to another customer. The response does not say which.
    """
    if not may_read_order(request, order_id):
        raise NotFound("No order with this id belongs to you. Log in, or send its access token as X-Order-Token.")
    order = Order.objects.prefetch_related("lines").filter(pk=order_id).first()
    if order is None:
        raise NotFound("No order has this id.")
    return order
