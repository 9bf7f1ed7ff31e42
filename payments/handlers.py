"""What payments does when orders change: it writes down what is wanted and rings for Celery, nothing else."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now

from payments.models import Attempt, Payment
from payments.refunding import refund_rest
from payments.tasks import settle_payments
from relay.consumer import Consumer
from relay.outbox import publish_many
from shop.doorbell import ring
from shop.events import OrderCancelled, OrderConfirmed, OrderPlaced, PaymentVoided

consumer = Consumer("payments")
Status, Wanted = Payment.Status, Payment.Wanted


class PaymentNotAuthorized(Exception):
    """An order was confirmed although its payment is not authorized, or is wanted for something else."""


@consumer.on(OrderPlaced, many=True)
def open_payments(events: Sequence[OrderPlaced]) -> None:
    """Write the payments down, to be authorized."""
    Payment.objects.bulk_create(
        Payment(
            order_id=event.order_id,
            event_id=event.event_id,
            amount=event.total,
            currency=event.currency,
            payment_token=event.payment_token,
        )
        for event in events
    )
    ring(settle_payments)


@consumer.on(OrderConfirmed, many=True)
def want_captures(events: Sequence[OrderConfirmed]) -> None:
    """Take the money that is held.

    :raises PaymentNotAuthorized: nothing is held for one of them, which the saga rules out.
    """
    payments = lock_payments(events)
    for payment in payments:
        if (payment.status, payment.wanted) != (Status.authorized, Wanted.nothing):
            raise PaymentNotAuthorized(f"{payment} is {payment.status} and wants {payment.wanted}")
    want(payments, Wanted.capture)


@consumer.on(OrderCancelled, many=True)
def give_back(events: Sequence[OrderCancelled]) -> None:
    """Void what is held, refund what is taken; or what a call that was begun may turn out to hold or take.

    A payment that the gateway was never asked for ends here, and so does a capture that it was never asked for.
    """
    locked = lock_payments(events)
    begun = find_begun(locked)
    taken = [p for p in locked if p.status == Status.captured or (p.wanted == Wanted.capture and p.pk in begun)]
    held = [p for p in locked if p.status in (Status.pending, Status.authorized) and p not in taken]
    untried = [p for p in held if p.status == Status.pending and p.pk not in begun]
    end_untried(untried)
    want([p for p in held if p not in untried and p.wanted != Wanted.refund], Wanted.void)
    causes = {event.order_id: str(event.event_id) for event in events}
    if refund_rest(taken, reason="order cancelled", requested_by={p.pk: causes[p.order_id] for p in taken}):
        ring(settle_payments)


def find_begun(payments: Sequence[Payment]) -> set[UUID]:
    """Say for which of the locked `payments` the gateway was, or is being, asked for what they want."""
    begun = Attempt.objects.filter(
        Q(payment__status=Status.pending) | Q(operation=F("payment__wanted")), payment__in=payments
    )
    return set(begun.values_list("payment_id", flat=True))


def lock_payments(events: Sequence[OrderConfirmed | OrderCancelled]) -> list[Payment]:
    """Lock the payments of the events' orders, in the order of the orders, and return them so.

    :raises Payment.DoesNotExist: one of the orders has none.
    """
    orders = [event.order_id for event in events]
    payments = list(Payment.objects.select_for_update().filter(order_id__in=orders).order_by("order_id"))
    if missing := set(orders) - {payment.order_id for payment in payments}:
        raise Payment.DoesNotExist(f"no payment for order {min(missing)}")
    return payments


def want(payments: Sequence[Payment], wanted: Payment.Wanted) -> None:
    """Write down on the locked `payments` what the gateway shall do, and ring. A call under way reads it at its end."""
    if payments:
        chosen = Payment.objects.filter(pk__in=[payment.pk for payment in payments])
        chosen.update(wanted=wanted, updated_at=Now(), due_at=Now())
        ring(settle_payments)


def end_untried(payments: Sequence[Payment]) -> None:
    """End the locked `payments` as voided: the gateway holds nothing and will never be asked."""
    chosen = Payment.objects.filter(pk__in=[payment.pk for payment in payments])
    chosen.update(status=Status.voided, wanted=Wanted.nothing, payment_token="", updated_at=Now())
    publish_many([PaymentVoided(order_id=p.order_id, amount=0, currency=p.currency) for p in payments])
