"""Whose orders are whose. Other apps are told through settings.ORDER_OWNERS, because none may import this one."""

from uuid import UUID

from django.db.models import QuerySet

from orders.models import Order


def owns_order(customer_id: int, order_id: UUID) -> bool:
    """Tell whether this customer placed the order while logged in."""
    return Order.objects.filter(pk=order_id, customer_id=customer_id).exists()


def list_order_ids(customer_id: int) -> QuerySet[Order, UUID]:
    """The ids of a customer's orders, to be used inside a query."""
    return Order.objects.filter(customer_id=customer_id).order_by().values_list("pk", flat=True)
