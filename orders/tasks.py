"""Periodic tasks of orders. Deadlines are columns; each task selects the rows whose time has passed."""

from datetime import timedelta

from celery import shared_task
from django.db.models.functions import Now

from orders.cart.storage import delete_expired_carts
from orders.lifecycle import deadlines
from orders.models import IdempotencyKey

#: Days until an idempotency key is deleted. The API promises seven.
KEYS_KEPT_DAYS = 8


@shared_task  # type: ignore[untyped-decorator]
def cancel_overdue_orders() -> None:
    """Cancel the orders that are not confirmed at their deadline."""
    deadlines.cancel_overdue_orders()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_keys() -> None:
    """Delete idempotency keys that are older than KEYS_KEPT_DAYS."""
    IdempotencyKey.objects.filter(created_at__lt=Now() - timedelta(days=KEYS_KEPT_DAYS)).delete()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_carts() -> None:
    """Delete the carts that did not change for CART_DAYS."""
    delete_expired_carts()
