"""Cancelling an order before it is shipped, whatever is under way for it. Stock and money go back by themselves."""

from uuid import UUID

from django.db import transaction

from orders.lifecycle.saga import Happening, ImpossibleTransition
from orders.lifecycle.transitions import advance_order
from orders.models import Order

#: Who cancels, when it is not somebody of the staff.
CUSTOMER = "customer"


class TooLateToCancel(Exception):
    """The order has left the house. What the customer wants now is to send it back."""


def cancel_order(order_id: UUID, reason: str = "", by: str = CUSTOMER) -> Order:
    """Cancel the order and return it as it is then; one that is cancelled already is left alone.

    `by` is ``customer`` or a name such as ``admin:ada``; `reason` is free text for the order's history and is
    published nowhere.

    :raises Order.DoesNotExist: there is no such order.
    :raises TooLateToCancel: it is shipped.
    """
    happening = Happening.CANCEL_REQUESTED if by == CUSTOMER else Happening.CANCELLED_BY_STAFF
    try:
        with transaction.atomic():
            return advance_order(order_id, happening, by=by, note=reason)
    except ImpossibleTransition as error:
        raise TooLateToCancel("the order is shipped, so it can't be cancelled any more") from error
