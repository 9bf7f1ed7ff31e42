"""Handlers for order events: they store what each payment needs next and ring for a worker, which calls the gateway."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from payments.models import Attempt, Payment
from payments.refunds import refund_rest
from payments.settlement.claims import lock_payments
from payments.tasks import settle_payments
from relay import Consumer, publish_many
from relay.arrays import to_array
from shop.events import OrderCancelled, OrderConfirmed, OrderPlaced, PaymentDeclined, PaymentVoided
from shop.vault.tokens import take_tokens
from shop.workqueue.doorbell import ring

consumer = Consumer("payments")
Status, Wanted = Payment.Status, Payment.Wanted


class PaymentNotAuthorized(Exception):
    """An order was confirmed, but its payment is not authorized or already has another operation to do."""


#: The reason of a payment whose token was deleted before payments could take it.
TOKEN_EXPIRED = "payment token expired"
_OPEN = f"""
insert into payments_payment (id, order_id, event_id, amount, currency, payment_token, status, wanted, reason,
                              gateway_reference)
select id, order_id, event_id, amount, currency, token, case token when '' then 'declined' else 'pending' end,
       case token when '' then 'nothing' else 'authorize' end, case token when '' then '{TOKEN_EXPIRED}' else '' end, ''
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::text[], %s::text[])
    as placed (id, order_id, event_id, amount, currency, token)
"""  # noqa: S608 - a constant
_WANT = """
update payments_payment set wanted = %s, updated_at = statement_timestamp(), due_at = statement_timestamp()
where id = any(%s::uuid[])
"""


@consumer.on(OrderPlaced, OrderConfirmed, OrderCancelled, many=True)
def follow_orders(events: Sequence[OrderPlaced | OrderConfirmed | OrderCancelled]) -> None:
    """Store the next operation of each order's payment.

    A placed order needs an authorization, a confirmed order a capture, a cancelled order a void or a refund. Existing
    payments are locked first, sorted by order id.

    :raises PaymentNotAuthorized: a confirmed order has no authorized payment; the saga prevents this.
    :raises Payment.DoesNotExist: an order has no payment.
    """
    open_payments([event for event in events if isinstance(event, OrderPlaced)])
    causes = {event.order_id: event for event in events if not isinstance(event, OrderPlaced)}
    if causes:
        payments = lock_orders([*causes.values()])
        want_captures([p for p in payments if isinstance(causes[p.order_id], OrderConfirmed)])
        cancelled = [p for p in payments if isinstance(causes[p.order_id], OrderCancelled)]
        give_back(cancelled, {p.order_id: str(causes[p.order_id].event_id) for p in cancelled})


def open_payments(events: Sequence[OrderPlaced]) -> None:
    """Insert a payment to authorize for each placed order, and ring. Decline a payment whose token has expired.

    The payment keeps the token until the gateway's answer is recorded, so that a worker can repeat its call.
    """
    if events:
        tokens = take_tokens([event.payment_reference for event in events])
        found = [tokens.get(event.payment_reference, "") for event in events]
        rows = [
            (uuid7(), e.order_id, e.event_id, e.total, e.currency, token)
            for e, token in zip(events, found, strict=True)
        ]
        with connection.cursor() as cursor:
            cursor.execute(_OPEN, [to_array(column) for column in zip(*rows, strict=True)])
        expired = [event for event, token in zip(events, found, strict=True) if not token]
        publish_many(
            [
                PaymentDeclined(order_id=e.order_id, amount=e.total, currency=e.currency, reason=TOKEN_EXPIRED)
                for e in expired
            ]
        )
        ring(settle_payments)


def want_captures(payments: Sequence[Payment]) -> None:
    """Request a capture for each of the locked `payments`.

    :raises PaymentNotAuthorized: a payment is not authorized or already has another operation to do.
    """
    for payment in payments:
        if (payment.status, payment.wanted) != (Status.authorized, Wanted.nothing):
            raise PaymentNotAuthorized(f"{payment} is {payment.status} and wants {payment.wanted}")
    want(payments, Wanted.capture)


def give_back(locked: Sequence[Payment], causes: Mapping[UUID, str]) -> None:
    """Request a void for held money and a refund for captured money of the `locked` payments.

    A started authorization counts as held and a started capture as captured, because only the gateway knows their
    outcome. A payment whose capture failed counts as held. A payment with no call to the gateway ends at once. `causes`
    maps an order's id to the id of its cancellation event.
    """
    if not locked:
        return
    begun = find_begun(locked)
    taken = [p for p in locked if p.status == Status.captured or (p.wanted == Wanted.capture and p.pk in begun)]
    held = [p for p in locked if p.status in (Status.pending, Status.authorized, Status.failed) and p not in taken]
    untried = [p for p in held if p.status == Status.pending and p.pk not in begun]
    end_untried(untried)
    want([p for p in held if p not in untried and p.wanted != Wanted.refund], Wanted.void)
    if refund_rest(taken, reason="order cancelled", requested_by={p.pk: causes[p.order_id] for p in taken}):
        ring(settle_payments)


def find_begun(payments: Sequence[Payment]) -> set[UUID]:
    """Return the ids of the locked `payments` whose authorization or wanted operation has an attempt at the gateway.

    An attempt that the gateway declined has no unknown outcome, so it does not count.
    """
    begun = Attempt.objects.filter(
        Q(payment__status=Status.pending) | Q(operation=F("payment__wanted")), payment__in=payments
    ).exclude(is_closed=True, finished_at__isnull=False)
    return set(begun.values_list("payment_id", flat=True))


def lock_orders(events: Sequence[OrderConfirmed | OrderCancelled]) -> list[Payment]:
    """Lock and return the payments of the events' orders, sorted by order id.

    :raises Payment.DoesNotExist: an order has no payment.
    """
    orders = [event.order_id for event in events]
    payments = lock_payments("order_id", orders)
    if missing := set(orders) - {payment.order_id for payment in payments}:
        raise Payment.DoesNotExist(f"no payment for order {min(missing)}")
    return payments


def want(payments: Sequence[Payment], wanted: Payment.Wanted) -> None:
    """Store the `wanted` operation on the locked `payments` and ring. A running call reads it when it is recorded."""
    if payments:
        with connection.cursor() as cursor:
            cursor.execute(_WANT, [wanted, to_array(payment.pk for payment in payments)])
        ring(settle_payments)


def end_untried(payments: Sequence[Payment]) -> None:
    """Set the locked `payments` to voided without a call: the gateway has never received one for them."""
    chosen = Payment.objects.filter(pk__in=[payment.pk for payment in payments])
    chosen.update(status=Status.voided, wanted=Wanted.nothing, payment_token="", updated_at=Now())
    publish_many([PaymentVoided(order_id=p.order_id, amount=0, currency=p.currency) for p in payments])
