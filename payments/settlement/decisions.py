"""Decisions about finished calls: the change of the locked payment, the event to publish, and the next step."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from payments.casebook import Finding, Kind, describe_failure
from payments.gateways.protocol import GatewayAnswer
from payments.models import Operation, Payment, Refund
from payments.settlement.claims import Call
from relay import Event
from shop.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
)

logger = logging.getLogger(__name__)

#: Maximum pause after a failed call. The pauses double.
MAX_PAUSE_SECONDS = 60
#: Maximum pause between two lookups of a pending refund, which can be pending for days.
MAX_PENDING_PAUSE_SECONDS = 3600
#: The first attempt is closed after this number of equal errors of the gateway, each later one after twice as many.
MOST_EQUAL_ERRORS = 3
#: Number of declined attempts after which a capture has failed. A lookup between them finds a capture by a person.
CAPTURE_ATTEMPTS = 3
#: The gateway has processed a request, or will never process it, this long after it was sent.
ARRIVES_WITHIN = timedelta(seconds=60)

Status, Wanted = Payment.Status, Payment.Wanted
#: The final outcomes of each operation. After any other outcome the operation is retried.
_FINAL = {
    Operation.authorize: ("approved", "declined"),
    Operation.capture: ("approved",),
    Operation.void: ("approved",),
    Operation.refund: ("approved", "declined"),
}


@dataclass(frozen=True)
class FinishedCall:
    """A finished step: the gateway's answer, or the problem that prevented a valid answer, or neither.

    Neither means that a lookup found no result, or is unfinished and continues at `cursor`. `is_gateway_error` is true
    if the gateway answered the sent call with an error of its own.
    """

    call: Call
    answer: GatewayAnswer | None = None
    problem: str = ""
    cursor: str = ""
    is_gateway_error: bool = False


@dataclass(frozen=True)
class Result:
    """The changes to store for one step: the payment, its attempt, the event to publish, and a finding for staff.

    `outcome` is the new text of the attempt, or None to keep the old one. `answer` is the gateway's final answer, or
    None after a failure or for a pending refund. `pause` is the time in seconds until the payment or the refund is due
    again. The other fields set the columns of the attempt with their names.
    """

    payment: Payment
    call: Call
    outcome: str | None = None
    answer: GatewayAnswer | None = None
    event: Event | None = None
    finding: Finding | None = None
    pause: float = 0.0
    is_pending: bool = False
    is_finished: bool = False
    is_closed: bool = False
    is_absent: bool = False
    cursor: str = ""
    is_gateway_error: bool = False


def apply_call(payment: Payment, done: FinishedCall, *, wants_more: bool) -> Result:
    """Change the locked `payment` according to the gateway's answer, and return the result to store.

    `wants_more` is true if another refund is open. A declined refund is final. A declined void is retried, a declined
    capture CAPTURE_ATTEMPTS times. Failed calls are retried, and pending refunds looked up, after growing pauses.
    """
    call, answer = done.call, done.answer
    if done.cursor:
        return Result(payment, call, cursor=done.cursor)
    if done.problem:
        return postpone(payment, call, done.problem, is_gateway_error=done.is_gateway_error)
    if answer is None:
        return apply_absence(payment, call)
    if answer.outcome == "pending" and call.operation == Operation.refund:
        pause = min(2.0 ** min(call.steps, 12), MAX_PENDING_PAUSE_SECONDS)
        return Result(payment, call, answer.outcome, pause=pause, is_pending=True)
    if answer.outcome == "declined" and call.operation == Operation.capture:
        return apply_declined_capture(payment, call, f"declined: {answer.reason}")
    if answer.outcome not in _FINAL[call.operation]:
        return postpone(payment, call, f"{answer.outcome}: {answer.reason}")
    if call.operation == Operation.authorize:
        event: Event | None = apply_authorization(payment, answer)
    elif call.operation == Operation.refund:
        event = apply_refund(payment, answer, wants_more=wants_more)
    else:
        event = apply_capture_or_void(payment, call.operation, answer)
    return Result(payment, call, answer.outcome, answer, event, is_finished=True)


def postpone(
    payment: Payment, call: Call, problem: str, *, is_gateway_error: bool = False, is_finished: bool = False
) -> Result:
    """Return the result of a step without a final answer. The next step follows after a growing pause.

    A finished attempt is closed: the next step uses a new one.
    """
    logger.warning("payment postponed", extra={"payment": payment.pk, "operation": call.operation, "why": problem})
    return Result(
        payment,
        call,
        problem.replace("\0", "\\0")[:300],
        pause=min(2.0 ** min(call.steps, 10), MAX_PAUSE_SECONDS),
        is_gateway_error=is_gateway_error,
        is_finished=is_finished,
        is_closed=is_finished,
        cursor="" if call.sends else call.cursor,
    )


def apply_absence(payment: Payment, call: Call) -> Result:
    """Return the result of a lookup that found no result of the call: usually the next step sends the call again.

    An authorization of a cancelled order is never sent again. If no request can still be on its way, the payment is
    voided. A capture that was sent in vain shortly before its authorization ends has failed.
    """
    if call.operation == Operation.authorize and payment.wanted == Wanted.void:
        waited = call.claimed_at - call.sent_at if call.sent_at else ARRIVES_WITHIN
        if waited < ARRIVES_WITHIN:
            pause = (ARRIVES_WITHIN - waited).total_seconds()
            return Result(payment, call, pause=min(2.0 ** min(call.steps, 10), pause))
        payment.status, payment.wanted, payment.payment_token = Status.voided, Wanted.nothing, ""
        event = PaymentVoided(order_id=payment.order_id, amount=0, currency=payment.currency)
        return Result(payment, call, "never authorized: the order was cancelled", event=event, is_finished=True)
    in_vain = call.operation == Operation.capture and call.was_sent and payment.wanted == Wanted.capture
    if in_vain and (call.is_late or payment.status == Status.failed):
        return fail_capture(payment, call, "not captured before the authorization's end")
    return Result(payment, call, is_absent=True)


def apply_declined_capture(payment: Payment, call: Call, problem: str) -> Result:
    """Return the result of a declined capture: the next attempt, or the failure after CAPTURE_ATTEMPTS attempts.

    For a cancelled order the wanted refund is replaced by a void, because no money was captured. The refund rows are
    deleted, as they were never sent to the gateway.
    """
    if payment.wanted == Wanted.refund:
        payment.wanted = Wanted.void
        Refund.objects.filter(payment=payment, status=Refund.Status.wanted).delete()
    elif call.number >= CAPTURE_ATTEMPTS or payment.status == Status.failed:
        return fail_capture(payment, call, problem)
    return postpone(payment, call, problem, is_finished=True)


def fail_capture(payment: Payment, call: Call, reason: str) -> Result:
    """Set the payment to failed, for staff to act on, and return the result. Another failure publishes no event."""
    logger.error("capture failed", extra={"payment": payment.pk, "why": reason})
    event = None
    payment.reason = reason.replace("\0", "\\0")[:200]
    if payment.status != Status.failed:
        event = PaymentFailed(
            order_id=payment.order_id, amount=payment.amount, currency=payment.currency, reason=payment.reason
        )
    payment.status, payment.wanted = Status.failed, Wanted.nothing
    text = describe_failure(payment.pk, payment.order_id)
    finding = Finding(Kind.capture_failed, payment.pk, text, f" ({payment.reason})")
    return Result(payment, call, reason[:300], event=event, finding=finding, is_finished=True, is_closed=True)


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
    payment.status, payment.captured_amount, payment.reason = Status.captured, answer.amount, ""
    if payment.wanted == Wanted.capture:
        payment.wanted = Wanted.nothing
    return PaymentCaptured(order_id=payment.order_id, amount=answer.amount, currency=payment.currency)


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
