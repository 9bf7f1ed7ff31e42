"""Deadlines live in the database; these sweeps keep them."""

from datetime import timedelta

from celery import shared_task
from django.db.models.functions import Now

from orders.cart.storage import delete_expired_carts
from orders.lifecycle import deadlines
from orders.models import IdempotencyKey

KEYS_KEPT_DAYS = 8  # seven are promised


@shared_task  # type: ignore[untyped-decorator]
def cancel_overdue_orders() -> None:
    """Cancel the orders that are still waiting for an answer after their deadline."""
    deadlines.cancel_overdue_orders()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_keys() -> None:
    """Delete the answers of idempotency keys that nobody will ask for again."""
    IdempotencyKey.objects.filter(created_at__lt=Now() - timedelta(days=KEYS_KEPT_DAYS)).delete()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_carts() -> None:
    """Delete the carts that nobody came back to."""
    delete_expired_carts()
