"""What the gateway answered is written down, and told to the others, in one short transaction after the calls."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from payments.claims import Call, lock_claimed
from payments.gateway import GatewayAnswer
from payments.models import Operation, Payment, Refund
from relay.event import Event
from relay.outbox import publish_many
from shop.events import PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided

logger = logging.getLogger(__name__)

MAX_PAUSE_SECONDS = 60

Status, Wanted = Payment.Status, Payment.Wanted

_RECORD = """
update payments_payment as payment
set status = told.status, wanted = told.wanted, reason = told.reason, gateway_reference = told.reference,
    payment_token = told.token, captured_amount = told.captured, refunded_amount = told.refunded, claimed_until = null,
    updated_at = statement_timestamp(), due_at = statement_timestamp() + make_interval(secs => told.pause)
from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
            %s::float8[])
    as told (id, status, wanted, reason, reference, token, captured, refunded, pause)
where payment.id = told.id
"""
_WRITTEN = (
    *("pk", "status", "wanted", "reason", "gateway_reference", "payment_token"),
    *("captured_amount", "refunded_amount"),
)
_NOTE_ATTEMPTS = """
update payments_attempt as attempt
set outcome = told.outcome,
    finished_at = case when told.finished then statement_timestamp() else attempt.finished_at end
from unnest(%s::text[], %s::text[], %s::bool[]) as told (key, outcome, finished)
where attempt.idempotency_key = told.key
"""
_END_REFUNDS = """
update payments_refund as refund
set status = told.status, answer = told.answer, finished_at = statement_timestamp()
from unnest(%s::bigint[], %s::text[], %s::text[]) as told (id, status, answer)
where refund.id = told.id
"""


@dataclass(frozen=True)
class Outcome:
    """What came of a call: the gateway's answer, or the problem because of which there is none to be believed."""

    call: Call
    answer: GatewayAnswer | None = None
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """What is to be written about a payment: its attempt's outcome, the event, or the seconds until it is due again."""

    payment: Payment
    call: Call
    outcome: str
    answer: GatewayAnswer | None = None
    event: Event | None = None
    pause: float = 0.0


@transaction.atomic
def record_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Write down what the gateway did and tell the others. What still wants something is due again.

    A worker that slept past its claim records nothing: whoever claimed after it gets the same answer.
    """
    held = lock_claimed([outcome.call for outcome in outcomes])
    more = find_further_refunds([outcome.call for outcome in outcomes])
    results = []
    for outcome in outcomes:
        if payment := held.get(outcome.call.payment_id):
            results.append(apply_outcome(payment, outcome, wants_more=payment.pk in more))
        else:
            logger.warning("claim lost", extra={"payment": outcome.call.payment_id})
    if results:
        write_results(results)
        publish_many([result.event for result in results if result.event])


def find_further_refunds(calls: Sequence[Call]) -> set[UUID]:
    """Say which of the calls' locked payments want a refund besides the one that was called for."""
    refunds = [call for call in calls if call.operation == Operation.refund]
    if not refunds:
        return set()
    wanted = Refund.objects.filter(payment_id__in=[call.payment_id for call in refunds], status=Refund.Status.wanted)
    return set(wanted.exclude(pk__in=[call.refund_id for call in refunds]).values_list("payment_id", flat=True))


def apply_outcome(payment: Payment, outcome: Outcome, *, wants_more: bool) -> Result:
    """Change the locked `payment` as the gateway's answer says; a problem makes it wait for a growing pause.

    `wants_more` says that another refund is wanted. One that the gateway declines is over; a capture or void is not.
    """
    call, answer, problem = outcome.call, outcome.answer, outcome.problem
    if answer and answer.outcome == "declined" and call.operation in (Operation.capture, Operation.void):
        problem = f"declined: {answer.reason}"
    if answer is None or problem:
        pause = min(2.0 ** min(call.calls, 10), MAX_PAUSE_SECONDS)
        logger.warning("payment postponed", extra={"payment": payment.pk, "operation": call.operation, "why": problem})
        return Result(payment, call, problem[:300], pause=pause)
    if call.operation == Operation.authorize:
        event: Event | None = apply_authorization(payment, answer)
    elif call.operation == Operation.refund:
        event = apply_refund(payment, answer, wants_more=wants_more)
    else:
        event = apply_capture_or_void(payment, call.operation, answer)
    return Result(payment, call, answer.outcome, answer, event)


def apply_authorization(payment: Payment, answer: GatewayAnswer) -> Event:
    """Note that the money is held, or why not. A cancellation that came during the call stays wanted."""
    payment.payment_token = ""
    if answer.outcome == "declined":
        payment.status, payment.wanted, payment.reason = Status.declined, Wanted.nothing, answer.reason[:200]
        return PaymentDeclined(
            order_id=payment.order_id, amount=payment.amount, currency=payment.currency, reason=payment.reason
        )
    payment.status, payment.gateway_reference = Status.authorized, answer.reference
    if payment.wanted == Wanted.authorize:
        payment.wanted = Wanted.nothing
    return PaymentAuthorized(order_id=payment.order_id, amount=answer.amount, currency=payment.currency)


def apply_capture_or_void(payment: Payment, operation: Operation, answer: GatewayAnswer) -> Event:
    """Note that what was held is ours, or was given back. A refund wanted during the capture stays wanted."""
    if operation == Operation.void:
        payment.status, payment.wanted = Status.voided, Wanted.nothing
        return PaymentVoided(order_id=payment.order_id, amount=answer.amount, currency=payment.currency)
    payment.status, payment.captured_amount = Status.captured, answer.amount
    if payment.wanted == Wanted.capture:
        payment.wanted = Wanted.nothing
    return PaymentCaptured(order_id=payment.order_id, amount=answer.amount, currency=payment.currency)


def apply_refund(payment: Payment, answer: GatewayAnswer, *, wants_more: bool) -> Event | None:
    """Note that a part of what was captured, or all of it, was given back; nothing is told of a declined one."""
    payment.wanted = Wanted.refund if wants_more else Wanted.nothing
    if answer.outcome == "declined":
        logger.error("refund declined", extra={"payment": payment.pk, "why": answer.reason})
        return None
    payment.refunded_amount += answer.amount
    if payment.refunded_amount == payment.captured_amount:
        payment.status = Status.refunded
    left = payment.captured_amount - payment.refunded_amount
    return PaymentRefunded(order_id=payment.order_id, amount=answer.amount, currency=payment.currency, left=left)


def write_results(results: Sequence[Result]) -> None:
    """Write the changed payments, their refunds, and what is noted on their attempts; give the claims back."""
    columns = [[getattr(result.payment, field) for result in results] for field in _WRITTEN]
    attempts = [(result.call.key, result.outcome, result.answer is not None) for result in results]
    refunds = [
        (result.call.refund_id, "declined" if result.event is None else "done", result.answer.reason[:200])
        for result in results
        if result.answer and result.call.refund_id
    ]
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [*columns, [result.pause for result in results]])
        cursor.execute(_NOTE_ATTEMPTS, [list(column) for column in zip(*attempts, strict=True)])
        if refunds:
            cursor.execute(_END_REFUNDS, [list(column) for column in zip(*refunds, strict=True)])
