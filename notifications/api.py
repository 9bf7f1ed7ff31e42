"""REST API of the shop's messages to customers: the messages about one order, or about all own orders."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from notifications.models import Message
from shop.web.order_access import ORDER_TOKEN, list_own_orders, may_read_order
from shop.web.paging import MAX_PAGE_SIZE, CursorPages
from shop.web.problems import Problem

_EXAMPLE = OpenApiExample(
    "A parcel has left",
    {
        "id": "01a2042b-6f10-7c3e-9d55-1f0a5f3f7a10",
        "order_id": "01a2042b-51d4-7575-8be7-d5e5de9df91a",
        "kind": "shipped",
        "subject": "Your order EVV9DXXJZG is on its way",
        "body": "Your order EVV9DXXJZG is on its way to you. Fjord & Pine",
        "created_at": "2026-11-22T16:51:22.696635Z",
    },
    response_only=True,
)
_ANSWERS = {
    200: None,
    400: OpenApiResponse(Problem, "A parameter is wrong."),
    401: OpenApiResponse(Problem, "Nobody is logged in, or the token is wrong."),
}


class MessageAnswer(serializers.ModelSerializer[Message]):
    """One message."""

    class Meta:
        model = Message
        fields = ["id", "order_id", "kind", "subject", "body", "created_at"]
        read_only_fields = fields


class MessageQuery(serializers.Serializer[Any]):
    """Query parameters of the lists."""

    kind = serializers.ChoiceField(Message.Kind.choices, required=False)
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE_SIZE)


class MessagePages(CursorPages):
    """Cursor pagination, newest messages first."""

    ordering = ("-created_at", "-id")


class _Messages(generics.ListAPIView[Message]):
    serializer_class = MessageAnswer
    pagination_class = MessagePages

    def select(self) -> QuerySet[Message]:
        """Return the messages of the channel `shop`, filtered by `kind` if requested."""
        query = MessageQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        messages = Message.objects.filter(channel=Message.Channel.shop)
        return messages.filter(kind=query.validated_data["kind"]) if "kind" in query.validated_data else messages


@method_decorator(never_cache, name="dispatch")
class OwnMessages(_Messages):
    """Messages about all orders of the logged-in customer."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        operation_id="messages_list",
        summary="List your messages",
        parameters=[MessageQuery(required=False)],
        examples=[_EXAMPLE],
        responses={**_ANSWERS, 200: MessageAnswer(many=True)},
    )
    def get(self, request: Request, *args: Any, **options: Any) -> Response:
        """List the messages about the orders that you placed while logged in, the newest first."""
        return super().get(request, *args, **options)

    def get_queryset(self) -> QuerySet[Message]:
        return self.select().filter(order_id__in=list_own_orders(self.request.user))


@method_decorator(never_cache, name="dispatch")
class OrderMessages(_Messages):
    """Messages about one order."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="orders_messages",
        summary="List an order's messages",
        parameters=[ORDER_TOKEN, MessageQuery(required=False)],
        examples=[_EXAMPLE],
        responses={
            **_ANSWERS,
            200: MessageAnswer(many=True),
            404: OpenApiResponse(Problem, "The order does not exist or belongs to another customer."),
        },
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """List the messages about an order, the newest first."""
        if not may_read_order(request, order_id):
            raise NotFound("There is no such order for you: log in as its owner, or send its token as X-Order-Token.")
        return super().get(request)

    def get_queryset(self) -> QuerySet[Message]:
        return self.select().filter(order_id=self.kwargs["order_id"])
