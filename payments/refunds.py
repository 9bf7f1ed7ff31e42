"""Creation of refunds, on locked payments. The refunds of a payment never exceed its captured amount."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Max, Q, Sum
from django.db.models.functions import Now

from payments.models import Case, Payment, Refund

Status, Wanted = Payment.Status, Payment.Wanted


class NotRefundable(Exception):
    """A refund is not possible. The message names the reason, with amounts in minor units."""


def refund_rest(payments: Sequence[Payment], *, reason: str, requested_by: Mapping[UUID, str]) -> list[Payment]:
    """Request a refund of the whole remaining amount of each of the locked `payments`.

    A started capture counts as captured. `requested_by` maps a payment's id to the staff member or event. Return the
    payments with a new refund.
    """
    promised = read_promised(payments)
    refunds = []
    for payment in payments:
        number, total = promised.get(payment.pk, (0, 0))
        remainder = find_refundable(payment) - total
        if remainder:
            by = requested_by[payment.pk]
            refunds.append(Refund(payment=payment, number=number + 1, amount=remainder, reason=reason, requested_by=by))
    Refund.objects.bulk_create(refunds)
    changed = [refund.payment for refund in refunds]
    want_refunds(changed)
    return changed


def refund_part(payment: Payment, amount: int, *, reason: str, requested_by: str, number: int | None = None) -> Refund:
    """Request a refund of `amount` (minor units) of the locked, captured `payment`, and return the refund.

    `number` is the expected number of the new refund, so that a form submitted twice refunds once.

    :raises NotRefundable: `amount` is not positive or exceeds the remaining amount, `reason` is empty, a refund with
        `number` exists, or the customer disputes the payment.
    """
    last, total = read_promised([payment]).get(payment.pk, (0, 0))
    if number not in (None, last + 1):
        raise NotRefundable(f"refund {number} exists already: this payment has {last}; open the form again")
    left = payment.captured_amount - total
    if not 0 < amount <= left:
        raise NotRefundable(f"{amount} can't be refunded: {left} of the captured {payment.captured_amount} is left")
    if not reason.strip():
        raise NotRefundable("a refund needs a reason")
    if Case.objects.filter(payment=payment, kind=Case.Kind.disputed, closed_at=None).exists():
        raise NotRefundable("the customer disputes this payment at the bank: close its case first, after the decision")
    refund = Refund.objects.create(
        payment=payment, number=last + 1, amount=amount, reason=reason.strip(), requested_by=requested_by
    )
    want_refunds([payment])
    return refund


def find_refundable(payment: Payment) -> int:
    """Return the captured amount, or the amount to be captured by a started capture, in minor units."""
    started = payment.status in (Status.authorized, Status.failed)
    return payment.amount if started else payment.captured_amount


def read_promised(payments: Sequence[Payment]) -> dict[UUID, tuple[int, int]]:
    """Return, by payment id, the last refund's number and the sum of the refunds that are not declined."""
    rows = (
        Refund.objects.filter(payment__in=payments)
        .values_list("payment_id")
        .annotate(last=Max("number"), total=Sum("amount", filter=~Q(status=Refund.Status.declined), default=0))
    )
    return {payment_id: (last, total) for payment_id, last, total in rows.order_by("payment_id")}


def want_refunds(payments: Sequence[Payment]) -> None:
    """Store on the locked `payments` that they have refunds to send. A running call reads it when it is recorded."""
    chosen = Payment.objects.filter(pk__in=[payment.pk for payment in payments])
    chosen.update(wanted=Wanted.refund, updated_at=Now(), due_at=Now())
