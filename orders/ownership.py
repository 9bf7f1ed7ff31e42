"""Queries for a customer's orders. Other apps call them through settings.ORDER_OWNERS: they may not import orders."""

from uuid import UUID

from django.db.models import QuerySet

from orders.models import Order


def owns_order(customer_id: int, order_id: UUID) -> bool:
    """Return whether the customer placed the order while logged in."""
    return Order.objects.filter(pk=order_id, customer_id=customer_id).exists()


def list_order_ids(customer_id: int) -> QuerySet[Order, UUID]:
    """Return the ids of the customer's orders, for use as a subquery."""
    return Order.objects.filter(customer_id=customer_id).order_by().values_list("pk", flat=True)
