"""The sweep that cancels orders after their deadline, many in one transaction. The deadline is a column."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from orders.lifecycle.saga import Happening, ImpossibleTransition
from orders.lifecycle.transitions import Move, advance_orders
from orders.models import Order

logger = logging.getLogger(__name__)
#: Largest number of orders in one transaction. Answers for these orders wait until it ends.
TOGETHER = 200
#: Seconds after which a sweep starts no further transaction, so that it ends before beat starts the next sweep.
SWEEP_SECONDS = 45
FAULTS = (ImpossibleTransition, DatabaseError)


def cancel_overdue_orders() -> None:
    """Cancel the orders that are not confirmed at their deadline.

    Skip locked orders, because a consumer is applying an answer to them; the next sweep checks them again. Log orders
    that fail, and continue with the remainder.
    """
    until, failed = time.monotonic() + SWEEP_SECONDS, set[UUID]()
    while time.monotonic() < until and cancel_some(failed):
        pass


def cancel_some(failed: set[UUID]) -> bool:
    """Cancel up to TOGETHER overdue orders that are not in `failed`. Return whether more may be overdue.

    If the transaction fails, cancel each order alone, and add the orders that fail to `failed`.
    """
    with transaction.atomic():
        overdue = Order.objects.filter(status=Order.Status.PLACED, deadline_at__lt=Now()).exclude(pk__in=failed)
        locked = overdue.order_by("deadline_at").select_for_update(skip_locked=True)
        chosen = list(locked.values_list("pk", flat=True)[:TOGETHER])
        try:
            with transaction.atomic():
                cancel(chosen)
        except FAULTS:
            if len(chosen) == 1:
                logger.exception("overdue order not cancelled", extra={"order_id": chosen[0]})
                failed.add(chosen[0])
            else:
                failed.update(find_failing(chosen))
    return bool(chosen)


def find_failing(chosen: Sequence[UUID]) -> set[UUID]:
    """Cancel each of the locked orders alone. Return the ids of the orders that fail."""
    failing = set()
    for order_id in chosen:
        try:
            with transaction.atomic():
                cancel([order_id])
        except FAULTS:
            logger.exception("overdue order not cancelled", extra={"order_id": order_id})
            failing.add(order_id)
    return failing


def cancel(chosen: Sequence[UUID]) -> None:
    """Cancel the locked orders `chosen`, whose deadline has passed."""
    advance_orders([Move(order_id, Happening.DEADLINE_PASSED) for order_id in chosen])
    for order_id in chosen:
        logger.warning("order overdue", extra={"order_id": order_id})
