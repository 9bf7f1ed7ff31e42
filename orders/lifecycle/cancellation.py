"""Cancellation of an order before it is shipped. Inventory and payments react to OrderCancelled with compensations."""

from uuid import UUID

from django.db import transaction

from orders.lifecycle.saga import Happening, ImpossibleTransition
from orders.lifecycle.transitions import advance_order
from orders.models import Order

#: `by` of a cancellation by the customer. Staff have ``admin:`` and their user name.
CUSTOMER = "customer"


class TooLateToCancel(Exception):
    """The order is shipped. The customer can only return it."""


def cancel_order(order_id: UUID, reason: str = "", by: str = CUSTOMER) -> Order:
    """Cancel the order and return it. An order that is already cancelled does not change.

    `by` is ``customer`` or a name such as ``admin:ada``. `reason` is free text for the order's history; no event
    contains it.

    :raises Order.DoesNotExist: no order has this id.
    :raises TooLateToCancel: the order is shipped.
    """
    happening = Happening.CANCEL_REQUESTED if by == CUSTOMER else Happening.CANCELLED_BY_STAFF
    try:
        with transaction.atomic():
            return advance_order(order_id, happening, by=by, note=reason)
    except ImpossibleTransition as error:
        raise TooLateToCancel("The order is shipped and can't be cancelled") from error
