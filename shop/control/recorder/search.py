"""The search for orders by number, id or payment reference. Each query uses an index."""

from collections.abc import Iterable
from uuid import UUID

from django.http import HttpRequest

from orders.models import Order
from payments.models import Attempt, Payment, Refund

#: Orders that the search page lists.
LISTED = 20
#: Length of the longest gateway reference in characters.
LONGEST = 100
#: Permission for the search by payment reference.
SEE_PAYMENTS = "payments.view_payment"


class BadSearch(ValueError):
    """The text can't be a number, an id or a reference."""


def find_orders(text: str, *, with_references: bool) -> list[Order]:
    """Return the orders that `text` names: an order number, an order id, or a reference of a payment or a refund.

    :param with_references: whether to search payments, too.
    :raises BadSearch: `text` is too long or contains characters that no number, id or reference has.
    """
    if len(text) > LONGEST:
        raise BadSearch(f"The text has {len(text)} characters; a number, an id or a reference has at most {LONGEST}.")
    if not text.isascii() or not text.isprintable():
        raise BadSearch("The text contains a character that is not printable ASCII: no number, id or reference has it.")
    if found := list(Order.objects.filter(number=text.upper())):
        return found
    if (order_id := read_id(text)) and (found := list(Order.objects.filter(pk=order_id))):
        return found
    return list_of(find_by_reference(text, order_id)) if with_references else []


def read_id(text: str) -> UUID | None:
    """Return `text` as a UUID, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def find_by_reference(text: str, payment_id: UUID | None) -> set[UUID]:
    """Return the ids of at most LISTED orders whose payment, refund or attempt has the reference, key or id."""
    found = set(Payment.objects.filter(gateway_reference=text).order_by().values_list("order_id", flat=True)[:LISTED])
    for rows in (Refund.objects.filter(gateway_reference=text), Attempt.objects.filter(idempotency_key=text)):
        found |= set(rows.order_by().values_list("payment__order_id", flat=True)[:LISTED])
    if payment_id:
        found |= set(Payment.objects.filter(pk=payment_id).values_list("order_id", flat=True))
    return found


def list_of(ids: Iterable[UUID]) -> list[Order]:
    """Return the orders with these ids, newest first."""
    return list(Order.objects.filter(pk__in=list(ids)).order_by("-placed_at")[:LISTED])


def list_newest() -> list[Order]:
    """Return the newest orders."""
    return list(Order.objects.order_by("-placed_at")[:LISTED])


def describe_miss(request: HttpRequest, text: str) -> str:
    """Return the message for a search without a result."""
    message = f"No order has the number or the id “{text}”. The search by payment reference needs {SEE_PAYMENTS}."
    if request.user.has_perm(SEE_PAYMENTS):
        message = f"No order has the number, the id or the payment reference “{text}”."
    return f"{message} An order number has ten letters and digits, for example EVV9DXXJZG."
