"""Deadlines live in the database; these sweeps keep them."""

import logging
from datetime import timedelta

from celery import shared_task
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from orders.advancing import advance_order
from orders.models import IdempotencyKey, Order
from orders.saga import Happening

logger = logging.getLogger(__name__)
SWEEP_LIMIT = 500
KEYS_KEPT_DAYS = 8  # seven are promised


@shared_task  # type: ignore[untyped-decorator]
def cancel_overdue_orders() -> None:
    """Cancel the orders that are still waiting for an answer after their deadline, each in its own transaction.

    One that can't be cancelled now, for example because it is locked, holds up no other: the next sweep sees it again.
    """
    overdue = Order.objects.filter(status=Order.Status.PLACED, deadline_at__lt=Now()).order_by("deadline_at")
    for order_id in list(overdue.values_list("pk", flat=True)[:SWEEP_LIMIT]):
        try:
            with transaction.atomic():
                advance_order(order_id, Happening.DEADLINE_PASSED)
        except DatabaseError as error:
            logger.error("overdue order not cancelled", extra={"order_id": str(order_id), "error": str(error).strip()})
        else:
            logger.warning("order overdue", extra={"order_id": str(order_id)})


@shared_task  # type: ignore[untyped-decorator]
def forget_old_keys() -> None:
    """Delete the answers of idempotency keys that nobody will ask for again."""
    IdempotencyKey.objects.filter(created_at__lt=Now() - timedelta(days=KEYS_KEPT_DAYS)).delete()
