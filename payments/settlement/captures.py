"""The repetition of a failed capture by staff."""

from django.db.models.functions import Now

from payments.models import Payment


class NotCapturable(Exception):
    """The payment has no failed capture. The message names its state."""


def capture_again(payment: Payment) -> None:
    """Request another capture of the locked, failed `payment`. It stays failed until the gateway captures it.

    :raises NotCapturable: the payment's capture has not failed, or another operation is wanted.
    """
    if (payment.status, payment.wanted) != (Payment.Status.failed, Payment.Wanted.nothing):
        raise NotCapturable(f"{payment} is {payment.status} and wants {payment.wanted}: only a failed capture repeats")
    chosen = Payment.objects.filter(pk=payment.pk)
    chosen.update(wanted=Payment.Wanted.capture, updated_at=Now(), due_at=Now())
