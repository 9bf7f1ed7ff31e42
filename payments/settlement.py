"""The steps by which a payment gets what it wants: claim and store the attempt, call, record the result. One at a time.

A call runs between two short transactions and in neither of them. It is safe to die anywhere: what was not recorded is
asked for again under the same idempotency key, so the gateway gives the same answer and no money moves twice.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from payments.gateway import GatewayAnswer, check_answer, load_gateway
from payments.models import Attempt, Operation, Payment
from relay.outbox import publish
from shop.events import PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentVoided

logger = logging.getLogger(__name__)

#: How long a worker may hold a payment. A call must be over by then, with an answer or without.
CLAIM_SECONDS = 30
#: After that the sweep rings for a payment whose doorbell nobody heard.
GRACE_SECONDS = 3
MAX_PAUSE_SECONDS = 60

Status, Wanted = Payment.Status, Payment.Wanted


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call to the gateway that one worker alone may make, until `claimed_until`."""

    payment_id: UUID
    operation: Operation
    key: str
    token: str
    reference: str
    amount: int
    currency: str
    calls: int
    claimed_until: datetime


@transaction.atomic
def claim_call(payment_id: UUID) -> Call | None:
    """Claim the payment and store the attempt at what is to be called next.

    Return None when nothing is to be called or another worker holds the claim.
    """
    unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    payment = Payment.objects.select_for_update().filter(unclaimed, pk=payment_id).first()
    return None if payment is None else start_next_attempt(payment)


def make_call(call: Call) -> GatewayAnswer:
    """Call the gateway and return its answer, checked. No transaction may be open: this can take seconds.

    An attempt that was begun before may have been carried out, so it is looked up first. When the gateway does not
    know it, it is sent again under the same key: the first request may still be on its way.

    :raises GatewayUnavailable: no answer; what the gateway did is unknown.
    :raises MalformedAnswer: an answer that cannot be meant for this call.
    """
    gateway = load_gateway()
    answer = gateway.lookup(call.key) if call.calls > 1 else None
    if answer is None:
        match call.operation:
            case Operation.authorize:
                answer = gateway.authorize(call.key, call.token, call.amount, call.currency)
            case Operation.capture:
                answer = gateway.capture(call.key, call.reference, call.amount)
            case Operation.void:
                answer = gateway.void(call.key, call.reference)
    return check_answer(answer, reference=call.reference, amount=call.amount, currency=call.currency)


@transaction.atomic
def record_answer(call: Call, answer: GatewayAnswer) -> Call | None:
    """Write down what the gateway did, tell the others, and claim what is wanted next.

    A worker that slept past its claim records nothing: whoever claimed after it gets the same answer.
    """
    payment = lock_claimed(call)
    if payment is None:
        return None
    if call.operation == Operation.authorize:
        record_authorization(payment, answer)
    elif answer.outcome == "declined":
        postpone(payment, call, f"declined: {answer.reason}")
        return None
    else:
        end_payment(payment, Status.captured if call.operation == Operation.capture else Status.voided, answer.amount)
    Attempt.objects.filter(idempotency_key=call.key).update(finished_at=timezone.now(), outcome=answer.outcome)
    return start_next_attempt(payment)


@transaction.atomic
def record_failure(call: Call, reason: str) -> None:
    """Give the claim back after a call without a usable answer; the sweep tries again after a growing pause."""
    payment = lock_claimed(call)
    if payment is not None:
        postpone(payment, call, reason)


def lock_claimed(call: Call) -> Payment | None:
    """Lock the call's payment if the call's claim on it still stands."""
    payment = Payment.objects.select_for_update().filter(pk=call.payment_id, claimed_until=call.claimed_until).first()
    if payment is None:
        logger.warning("claim lost", extra={"payment": call.payment_id, "operation": call.operation})
    return payment


def start_next_attempt(payment: Payment) -> Call | None:
    """Claim the locked `payment` for its next call; without one, leave it unclaimed."""
    operation = choose_operation(payment)
    if operation is None:
        if payment.status == Status.pending:
            end_payment(payment, Status.voided, 0)
        touch(payment, claimed_until=None)
        return None
    attempt, _ = Attempt.objects.get_or_create(
        idempotency_key=f"{payment.pk}:{operation}", defaults={"payment": payment, "operation": operation}
    )
    Attempt.objects.filter(pk=attempt.pk).update(calls=F("calls") + 1)
    touch(payment, claimed_until=Now() + timedelta(seconds=CLAIM_SECONDS))
    payment.refresh_from_db(fields=["claimed_until"])
    assert payment.claimed_until is not None
    return Call(
        payment_id=payment.pk,
        operation=operation,
        key=attempt.idempotency_key,
        token=payment.payment_token,
        reference=payment.gateway_reference,
        amount=payment.amount,
        currency=payment.currency,
        calls=attempt.calls + 1,
        claimed_until=payment.claimed_until,
    )


def choose_operation(payment: Payment) -> Operation | None:
    """Say what to ask the gateway for next. None: nothing, or nothing was ever held and so nothing is given back.

    A payment cancelled after its authorization was begun is authorized to the end, because only the gateway knows
    whether money is held; then it is given back.
    """
    if payment.wanted == Wanted.nothing:
        return None
    if payment.status == Status.pending and payment.wanted == Wanted.void:
        return Operation.authorize if payment.attempts.exists() else None
    return Operation(payment.wanted)


def record_authorization(payment: Payment, answer: GatewayAnswer) -> None:
    """Write down the gateway's answer on the locked `payment`. A cancellation that came meanwhile stays wanted."""
    payment.payment_token = ""
    if answer.outcome == "declined":
        payment.status, payment.wanted, payment.reason = (Status.declined, Wanted.nothing, answer.reason[:200])
        publish(
            PaymentDeclined(
                order_id=payment.order_id, amount=payment.amount, currency=payment.currency, reason=payment.reason
            )
        )
    else:
        payment.status, payment.gateway_reference = Status.authorized, answer.reference
        if payment.wanted == Wanted.authorize:
            payment.wanted = Wanted.nothing
        publish(PaymentAuthorized(order_id=payment.order_id, amount=answer.amount, currency=payment.currency))
    payment.save(update_fields=["payment_token", "status", "wanted", "reason", "gateway_reference"])


def end_payment(payment: Payment, status: Payment.Status, amount: int) -> None:
    """End the locked `payment` as captured or voided; `amount` is what moved, 0 when nothing was ever held."""
    payment.status, payment.wanted, payment.payment_token = status, Wanted.nothing, ""
    payment.save(update_fields=["status", "wanted", "payment_token"])
    event = PaymentCaptured if status == Status.captured else PaymentVoided
    publish(event(order_id=payment.order_id, amount=amount, currency=payment.currency))


def postpone(payment: Payment, call: Call, outcome: str) -> None:
    """Note why the locked `payment` did not get what it wants, and let the sweep try again after a growing pause."""
    Attempt.objects.filter(idempotency_key=call.key).update(outcome=outcome[:300])
    pause = timedelta(seconds=min(2 ** min(call.calls, 10), MAX_PAUSE_SECONDS))
    touch(payment, claimed_until=None, due_at=Now() + pause)
    logger.warning("payment postponed", extra={"payment": payment.pk, "operation": call.operation, "why": outcome})


def touch(payment: Payment, **changes: object) -> None:
    """Update the locked `payment` by expressions of the database's clock."""
    Payment.objects.filter(pk=payment.pk).update(updated_at=Now(), **changes)


def take_due(limit: int) -> list[UUID]:
    """Return up to `limit` payments that want something and that nobody is working on, longest due first.

    Each is due again only after CLAIM_SECONDS, so that a long queue is not filled with the same ones.
    """
    with transaction.atomic():
        due = list(
            Payment.objects.exclude(wanted=Wanted.nothing)
            .filter(Q(claimed_until=None) | Q(claimed_until__lt=Now()), due_at__lt=Now())
            .order_by("due_at")
            .select_for_update(skip_locked=True)
            .values_list("pk", flat=True)[:limit]
        )
        Payment.objects.filter(pk__in=due).update(due_at=Now() + timedelta(seconds=CLAIM_SECONDS))
    return due
