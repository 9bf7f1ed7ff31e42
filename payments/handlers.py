"""What payments does when an order changes: it writes down what is wanted and rings for Celery, nothing else."""

from datetime import timedelta

from django.db.models.functions import Now

from payments.models import Payment
from payments.settlement import GRACE_SECONDS
from payments.tasks import settle_payment
from relay.consumer import Consumer
from shop.doorbell import ring
from shop.events import OrderCancelled, OrderConfirmed, OrderPlaced

consumer = Consumer("payments")


class PaymentNotAuthorized(Exception):
    """An order was confirmed although its payment is not authorized, or is wanted for something else."""


class PaymentNotVoidable(Exception):
    """An order was cancelled although its payment is captured or about to be: that takes a refund."""


@consumer.on(OrderPlaced)
def open_payment(event: OrderPlaced) -> None:
    """Write the payment down, to be authorized."""
    payment = Payment(
        order_id=event.order_id,
        event_id=event.event_id,
        amount=event.total,
        currency=event.currency,
        payment_token=event.payment_token,
    )
    payment.due_at = Now() + timedelta(seconds=GRACE_SECONDS)
    payment.save(force_insert=True)
    ring(settle_payment, str(payment.pk))


@consumer.on(OrderConfirmed)
def want_capture(event: OrderConfirmed) -> None:
    """Take the money that is held.

    :raises PaymentNotAuthorized: nothing is held, which the saga rules out.
    """
    payment = Payment.objects.select_for_update().get(order_id=event.order_id)
    if (payment.status, payment.wanted) != (Payment.Status.authorized, Payment.Wanted.nothing):
        raise PaymentNotAuthorized(f"{payment} is {payment.status} and wants {payment.wanted}")
    want(payment, Payment.Wanted.capture)


@consumer.on(OrderCancelled)
def want_void(event: OrderCancelled) -> None:
    """Give back what is held, or what a call that is under way may turn out to hold. Declined: nothing is.

    :raises PaymentNotVoidable: the money is taken, or about to be.
    """
    payment = Payment.objects.select_for_update().get(order_id=event.order_id)
    if payment.status == Payment.Status.captured or payment.wanted == Payment.Wanted.capture:
        raise PaymentNotVoidable(f"{payment} is {payment.status} and wants {payment.wanted}")
    if payment.status in (Payment.Status.pending, Payment.Status.authorized):
        want(payment, Payment.Wanted.void)


def want(payment: Payment, wanted: Payment.Wanted) -> None:
    """Write down on the locked `payment` what the gateway shall do, and ring. A call under way reads it at its end."""
    due_at = Now() + timedelta(seconds=GRACE_SECONDS)
    Payment.objects.filter(pk=payment.pk).update(wanted=wanted, updated_at=Now(), due_at=due_at)
    ring(settle_payment, str(payment.pk))
