"""Cancelling an order over the REST API. Asking again is always safe: what is cancelled stays so."""

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_serializer
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.api import examples
from orders.api.serializers import OneLine, OrderDetail
from orders.lifecycle.cancellation import TooLateToCancel, cancel_order
from orders.models import Order
from shop.web.order_access import ORDER_TOKEN, may_read_order
from shop.web.problems import Problem, problem
from shop.web.strict import StrictSerializer


@extend_schema_serializer(examples=examples.CANCEL_REQUEST)
class CancelRequest(StrictSerializer):
    """The body of POST /api/v1/orders/{id}/cancel/; it may be left out."""

    reason = OneLine(
        max_length=200, required=False, allow_blank=True, default="", help_text="Why, for the shop's staff."
    )


class CancelOrder(APIView):
    """Where an order is cancelled by its customer."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="orders_cancel",
        summary="Cancel an order",
        parameters=[ORDER_TOKEN],
        request=CancelRequest,
        responses={
            200: OrderDetail,
            400: OpenApiResponse(Problem, description="A field is wrong."),
            404: OpenApiResponse(Problem, description="There is no such order, or it is somebody else's."),
            409: OpenApiResponse(Problem, description="The order is shipped: it can't be cancelled any more."),
        },
    )
    def post(self, request: Request, order_id: UUID) -> HttpResponseBase:
        """Cancel an order at any moment before it is shipped. What was paid, or is being paid, is given back."""
        if not may_read_order(request, order_id):
            raise NotFound("There is no such order, or the X-Order-Token header is not its access token.")
        body = CancelRequest(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            order = cancel_order(order_id, body.validated_data["reason"])
        except Order.DoesNotExist:
            raise NotFound("There is no such order.") from None
        except TooLateToCancel as error:
            return problem(409, f"{error}.")
        return Response(OrderDetail(order).data)
