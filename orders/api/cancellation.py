"""The API operation that cancels an order. Clients may repeat it: a cancelled order does not change."""

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
    """The optional body of POST /api/v1/orders/{id}/cancel/."""

    reason = OneLine(
        max_length=200, required=False, allow_blank=True, default="", help_text="The reason, for the shop's staff."
    )


class CancelOrder(APIView):
    """Cancellation of an order by its customer."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="orders_cancel",
        summary="Cancel an order",
        parameters=[ORDER_TOKEN],
        request=CancelRequest,
        responses={
            200: OrderDetail,
            400: OpenApiResponse(Problem, description="A field is wrong."),
            404: OpenApiResponse(Problem, description="The order does not exist or belongs to another customer."),
            409: OpenApiResponse(Problem, description="The order is shipped and can't be cancelled."),
        },
    )
    def post(self, request: Request, order_id: UUID) -> HttpResponseBase:
        """Cancel an order that is not shipped yet. The shop voids or refunds its payment."""
        if not may_read_order(request, order_id):
            raise NotFound("No order with this id belongs to you. Log in, or send its access token as X-Order-Token.")
        body = CancelRequest(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            order = cancel_order(order_id, body.validated_data["reason"])
        except Order.DoesNotExist:
            raise NotFound("No order has this id.") from None
        except TooLateToCancel as error:
            return problem(409, f"{error}.")
        return Response(OrderDetail(order).data)
