"""Adoption: refunds at the gateway that the shop did not request become refunds of their payments."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models.functions import Now

from payments.gateways.protocol import LedgerEntry
from payments.models import Payment, Refund
from payments.refunds import read_promised
from payments.settlement.claims import lock_payments
from relay import Event, publish_many
from shop.events import PaymentRefunded

#: The name in Refund.requested_by of an adopted refund.
REQUESTED_BY = "the gateway"

Status, Wanted = Payment.Status, Payment.Wanted


def adopt_refunds(entries: Sequence[tuple[UUID, LedgerEntry]]) -> int:
    """Record the refunds in `entries`, pairs of a payment's id and a ledger entry, and return their number.

    The recorded money can't be refunded again. Refunds that do not fit their payment are left out: the comparison
    reports them as long as they differ. Needs an open transaction.
    """
    if not entries:
        return 0
    payments = {payment.pk: payment for payment in lock_payments("id", {payment_id for payment_id, _ in entries})}
    events = [event for payment_id, entry in entries if (event := adopt_refund(payments[payment_id], entry))]
    publish_many(events)
    return len(events)


def adopt_refund(payment: Payment, entry: LedgerEntry) -> Event | None:
    """Record the refund `entry` of the locked `payment` and return its event, or None if it does not fit."""
    last, promised = read_promised([payment]).get(payment.pk, (0, 0))
    fits = (
        (payment.status, payment.wanted, payment.currency) == (Status.captured, Wanted.nothing, entry.currency)
        and 0 < entry.amount <= payment.captured_amount - promised
        and not Refund.objects.filter(gateway_reference=entry.external_id).exists()
    )
    if not fits:
        return None
    Refund.objects.create(
        payment=payment,
        number=last + 1,
        amount=entry.amount,
        reason="refunded at the gateway",
        requested_by=REQUESTED_BY,
        status=Refund.Status.done,
        gateway_reference=entry.external_id,
        created_at=entry.created_at,  # the comparison requires the entry if its time is in the scope
        finished_at=Now(),
    )
    payment.refunded_amount += entry.amount
    left = payment.captured_amount - payment.refunded_amount
    payment.status = payment.status if left else Status.refunded
    changed = {"refunded_amount": payment.refunded_amount, "status": payment.status, "updated_at": Now()}
    Payment.objects.filter(pk=payment.pk).update(**changed)
    return PaymentRefunded(order_id=payment.order_id, amount=entry.amount, currency=payment.currency, left=left)
