"""What Celery runs for payments. Lost, repeated or doubled, a task does no harm: the payment's row says what to do."""

from uuid import UUID

from celery import shared_task

from payments.gateway import GatewayUnavailable, MalformedAnswer
from payments.settlement import claim_call, make_call, record_answer, record_failure, take_due
from shop.doorbell import ring

SWEEP_LIMIT = 500


@shared_task  # type: ignore[untyped-decorator]
def settle_payment(payment_id: str) -> None:
    """Ask the gateway for whatever the payment wants until it wants nothing more."""
    call = claim_call(UUID(payment_id))
    while call is not None:
        try:
            answer = make_call(call)
        except (GatewayUnavailable, MalformedAnswer) as error:
            record_failure(call, f"{type(error).__name__}: {error}")
            return
        call = record_answer(call, answer)


@shared_task  # type: ignore[untyped-decorator]
def sweep_payments() -> None:
    """Ring for payments that want something and that nobody works on: the ring was lost, or a worker died."""
    for payment_id in take_due(SWEEP_LIMIT):
        ring(settle_payment, str(payment_id))
