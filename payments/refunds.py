"""Refunds are written down here and nowhere else, on locked payments: never more than what was captured and is left."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Max, Q, Sum
from django.db.models.functions import Now

from payments.models import Payment, Refund

Status, Wanted = Payment.Status, Payment.Wanted


class NotRefundable(Exception):
    """So much can't be given back. The message says what is asked for, and what could be."""


def refund_rest(payments: Sequence[Payment], *, reason: str, requested_by: Mapping[UUID, str]) -> list[Payment]:
    """Want back all that is captured of the locked `payments`, or about to be, less what is going back already.

    `requested_by` names for each payment who asked. Return those for which that is more than nothing.
    """
    promised = read_promised(payments)
    refunds = []
    for payment in payments:
        number, total = promised.get(payment.pk, (0, 0))
        rest = find_refundable(payment) - total
        if rest:
            by = requested_by[payment.pk]
            refunds.append(Refund(payment=payment, number=number + 1, amount=rest, reason=reason, requested_by=by))
    Refund.objects.bulk_create(refunds)
    changed = [refund.payment for refund in refunds]
    want_refunds(changed)
    return changed


def refund_part(payment: Payment, amount: int, *, reason: str, requested_by: str, number: int | None = None) -> Refund:
    """Want `amount`, in minor units, of the locked captured `payment` back.

    `number` is the number that the refund is to get, so that a form that is sent twice gives back once.
    :raises NotRefundable: the amount is not positive, or more than is left; nothing is captured; no reason is given;
        there is a refund with that number.
    """
    last, total = read_promised([payment]).get(payment.pk, (0, 0))
    if number not in (None, last + 1):
        raise NotRefundable(f"refund {number} was asked for before: {last} there are")
    left = payment.captured_amount - total
    if not 0 < amount <= left:
        raise NotRefundable(f"{amount} can't be given back: of {payment.captured_amount} captured {left} is left")
    if not reason.strip():
        raise NotRefundable("a refund needs a reason")
    refund = Refund.objects.create(
        payment=payment, number=last + 1, amount=amount, reason=reason.strip(), requested_by=requested_by
    )
    want_refunds([payment])
    return refund


def find_refundable(payment: Payment) -> int:
    """Return what is captured, or will be when a capture that was begun has ended."""
    return payment.amount if payment.status == Status.authorized else payment.captured_amount


def read_promised(payments: Sequence[Payment]) -> dict[UUID, tuple[int, int]]:
    """Return the last number of each payment's refunds, and the sum of those that are not declined."""
    rows = (
        Refund.objects.filter(payment__in=payments)
        .values_list("payment_id")
        .annotate(last=Max("number"), total=Sum("amount", filter=~Q(status=Refund.Status.declined), default=0))
    )
    return {payment_id: (last, total) for payment_id, last, total in rows.order_by("payment_id")}


def want_refunds(payments: Sequence[Payment]) -> None:
    """Write down on the locked `payments` that they want their refunds. A call under way reads it at its end."""
    chosen = Payment.objects.filter(pk__in=[payment.pk for payment in payments])
    chosen.update(wanted=Wanted.refund, updated_at=Now(), due_at=Now())
