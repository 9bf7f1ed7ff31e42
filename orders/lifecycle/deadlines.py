"""Deadlines live in the database; this sweep cancels the orders that miss them, many at a time."""

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
#: How many orders a transaction holds: answers for them wait meanwhile.
TOGETHER = 200
#: A sweep ends before beat starts the next one.
SWEEP_SECONDS = 45
FAULTS = (ImpossibleTransition, DatabaseError)


def cancel_overdue_orders() -> None:
    """Cancel the orders that are still waiting for an answer after their deadline.

    One that is locked is being answered: it holds up no other, and the next sweep sees it again. Neither does one
    that can't be cancelled, which is logged.
    """
    until, failed = time.monotonic() + SWEEP_SECONDS, set[UUID]()
    while time.monotonic() < until and cancel_some(failed):
        pass


def cancel_some(failed: set[UUID]) -> bool:
    """Cancel up to TOGETHER overdue orders, each alone if they fail together; tell whether there may be more.

    Those that fail are added to `failed`, which are left out.
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
    """Cancel each of the locked orders alone and return those that can't be."""
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
    """Cancel locked orders whose deadline has passed."""
    advance_orders([Move(order_id, Happening.DEADLINE_PASSED) for order_id in chosen])
    for order_id in chosen:
        logger.warning("order overdue", extra={"order_id": order_id})
