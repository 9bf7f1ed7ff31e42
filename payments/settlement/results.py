"""Results of calls: answers are recorded and published as events in one short transaction after the calls."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from payments.gateways.protocol import GatewayAnswer
from payments.models import Operation, Payment, Refund
from payments.settlement.claims import Call, lock_claimed
from relay import Event, publish_many
from shop.events import PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided

logger = logging.getLogger(__name__)

#: Maximum pause after a failed call. The pauses double.
MAX_PAUSE_SECONDS = 60
#: Maximum pause between two lookups of a pending refund, which can be pending for days.
MAX_PENDING_PAUSE_SECONDS = 3600

Status, Wanted = Payment.Status, Payment.Wanted

_RECORD = """
update payments_payment as payment
set status = told.status, wanted = told.wanted, reason = told.reason, gateway_reference = told.reference,
    payment_token = told.token, captured_amount = told.captured, refunded_amount = told.refunded, claimed_until = null,
    updated_at = statement_timestamp(),
    due_at = coalesce((select min(refund.due_at) from payments_refund as refund
                       where told.status = 'captured' and refund.payment_id = payment.id
                         and refund.status in ('wanted', 'pending')),
                      statement_timestamp() + make_interval(secs => told.pause))
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
# A null status means no answer: the refund only becomes due again later.
_RECORD_REFUNDS = """
update payments_refund as refund
set status = coalesce(told.status, refund.status), answer = coalesce(told.answer, refund.answer),
    finished_at = case when told.status in ('done', 'declined') then statement_timestamp() end,
    due_at = statement_timestamp() + make_interval(secs => told.pause)
from unnest(%s::bigint[], %s::text[], %s::text[], %s::float8[]) as told (id, status, answer, pause)
where refund.id = told.id
"""
#: The final outcomes of each operation. After any other outcome the operation is retried.
_FINAL = {
    Operation.authorize: ("approved", "declined"),
    Operation.capture: ("approved",),
    Operation.void: ("approved",),
    Operation.refund: ("approved", "declined"),
}


@dataclass(frozen=True)
class FinishedCall:
    """A call that has ended, with the gateway's answer or the problem that prevented a valid answer."""

    call: Call
    answer: GatewayAnswer | None = None
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """The changes to store for one call: the payment, its attempt's outcome, and the event to publish.

    `answer` is the gateway's final answer, or None after a failure or for a pending refund. `pause` is the time in
    seconds until the payment or the refund is due again.
    """

    payment: Payment
    call: Call
    outcome: str
    answer: GatewayAnswer | None = None
    event: Event | None = None
    pause: float = 0.0
    is_pending: bool = False


@transaction.atomic
def record_calls(finished: Sequence[FinishedCall]) -> None:
    """Store the results of the `finished` calls and publish their events.

    A call whose claim has ended is not recorded: the worker with the next claim gets the same answer.
    """
    held = lock_claimed([done.call for done in finished])
    more = find_further_refunds([done.call for done in finished])
    results = []
    for done in finished:
        if payment := held.get(done.call.payment_id):
            results.append(apply_call(payment, done, wants_more=payment.pk in more))
        else:
            logger.warning("claim lost", extra={"payment": done.call.payment_id})
    if results:
        write_results(results)
        publish_many([result.event for result in results if result.event])


def find_further_refunds(calls: Sequence[Call]) -> set[UUID]:
    """Return the ids of the calls' payments that have another open refund than the called one."""
    refunds = [call for call in calls if call.operation == Operation.refund]
    if not refunds:
        return set()
    further = Refund.objects.filter(payment_id__in=[call.payment_id for call in refunds], status__in=Refund.OPEN)
    return set(further.exclude(pk__in=[call.refund_id for call in refunds]).values_list("payment_id", flat=True))


def apply_call(payment: Payment, done: FinishedCall, *, wants_more: bool) -> Result:
    """Change the locked `payment` according to the gateway's answer, and return the result to store.

    `wants_more` is true if another refund is open. A declined refund is final, while a declined capture or void is
    retried. Failed calls are retried, and pending refunds looked up, after growing pauses.
    """
    call, answer, problem = done.call, done.answer, done.problem
    if answer and answer.outcome == "pending" and call.operation == Operation.refund:
        pause = min(2.0 ** min(call.calls, 12), MAX_PENDING_PAUSE_SECONDS)
        return Result(payment, call, answer.outcome, pause=pause, is_pending=True)
    if answer and answer.outcome == "declined" and call.operation == Operation.capture:
        give_up_capture(payment)
    if answer and answer.outcome not in _FINAL[call.operation]:
        problem = f"{answer.outcome}: {answer.reason}"
    if answer is None or problem:
        pause = min(2.0 ** min(call.calls, 10), MAX_PAUSE_SECONDS)
        logger.warning("payment postponed", extra={"payment": payment.pk, "operation": call.operation, "why": problem})
        return Result(payment, call, problem.replace("\0", "\\0")[:300], pause=pause)
    if call.operation == Operation.authorize:
        event: Event | None = apply_authorization(payment, answer)
    elif call.operation == Operation.refund:
        event = apply_refund(payment, answer, wants_more=wants_more)
    else:
        event = apply_capture_or_void(payment, call.operation, answer)
    return Result(payment, call, answer.outcome, answer, event)


def apply_authorization(payment: Payment, answer: GatewayAnswer) -> Event:
    """Set the payment to authorized or declined and return the event.

    A void that was requested during the call is kept as the next operation.
    """
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
    """Set the payment to captured or voided and return the event.

    A refund that was requested during the capture is kept as the next operation.
    """
    if operation == Operation.void:
        payment.status, payment.wanted = Status.voided, Wanted.nothing
        return PaymentVoided(order_id=payment.order_id, amount=answer.amount, currency=payment.currency)
    payment.status, payment.captured_amount = Status.captured, answer.amount
    if payment.wanted == Wanted.capture:
        payment.wanted = Wanted.nothing
    return PaymentCaptured(order_id=payment.order_id, amount=answer.amount, currency=payment.currency)


def give_up_capture(payment: Payment) -> None:
    """After a declined capture, replace the refund of a cancelled order by a void, because no money was captured.

    The refund rows are deleted, as they were never sent to the gateway. If the order is not cancelled, the capture is
    retried.
    """
    if payment.wanted == Wanted.refund:
        payment.wanted = Wanted.void
        Refund.objects.filter(payment=payment, status=Refund.Status.wanted).delete()


def apply_refund(payment: Payment, answer: GatewayAnswer, *, wants_more: bool) -> Event | None:
    """Add the refund to the payment's refunded amount and return the event, or None if the refund was declined."""
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
    """Store the changed payments, refunds and attempts, and release the claims."""
    columns = [[getattr(result.payment, field) for result in results] for field in _WRITTEN]
    attempts = [(result.call.key, result.outcome, result.answer is not None) for result in results]
    refunds = [describe_refund(result) for result in results if result.call.refund_id]
    with connection.cursor() as cursor:
        if refunds:  # before the payments, whose due times depend on the due times of their open refunds
            cursor.execute(_RECORD_REFUNDS, [list(column) for column in zip(*refunds, strict=True)])
        cursor.execute(_RECORD, [*columns, [result.pause for result in results]])
        cursor.execute(_NOTE_ATTEMPTS, [list(column) for column in zip(*attempts, strict=True)])


def describe_refund(result: Result) -> tuple[int | None, str | None, str | None, float]:
    """Return the refund's id, its new status and reason (None if unchanged), and the seconds until it is due."""
    refund_id, pause = result.call.refund_id, result.pause
    if result.is_pending:
        return refund_id, Refund.Status.pending, None, pause
    if result.answer is None:
        return refund_id, None, None, pause
    status = Refund.Status.done if result.answer.outcome == "approved" else Refund.Status.declined
    return refund_id, status, result.answer.reason[:200], pause
