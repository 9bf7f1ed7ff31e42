"""How payments get what they want: claim them and store the attempts, call (payments/calling.py), record the results.

A call runs between two short transactions and in neither of them. It is safe to die anywhere: what was not recorded is
asked for again under the same idempotency key, so the gateway gives the same answer and no money moves twice.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from payments.gateway import GatewayAnswer
from payments.models import Operation, Payment
from relay.event import Event
from relay.outbox import publish_many
from shop.events import PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentVoided

logger = logging.getLogger(__name__)

#: How long a worker may hold a payment. Looking up and calling must be over by then, with an answer or without.
CLAIM_SECONDS = 30
#: How long the gateway may take for an answer.
CALL_SECONDS = 10
MAX_PAUSE_SECONDS = 60

Status, Wanted = Payment.Status, Payment.Wanted

# A payment cancelled after its authorization was begun is authorized to the end, because only the gateway knows
# whether money is held; then it is given back. The attempts are stored by the statement that claims.
_CLAIM = """
with due as (
    select id from payments_payment
    where wanted <> 'nothing' and due_at <= statement_timestamp()
      and (claimed_until is null or claimed_until < statement_timestamp())
    order by due_at limit %(limit)s for update skip locked
),
claimed as (
    update payments_payment as payment
    set claimed_until = statement_timestamp() + make_interval(secs => %(seconds)s),
        due_at = statement_timestamp() + make_interval(secs => %(seconds)s), updated_at = statement_timestamp()
    from due where payment.id = due.id
    returning payment.*, case when status = 'pending' then 'authorize' else wanted end as operation
),
attempted as (
    insert into payments_attempt as attempt (payment_id, operation, idempotency_key, calls, outcome, started_at)
    select id, operation, id || ':' || operation, 1, '', statement_timestamp() from claimed
    on conflict (idempotency_key) do update set calls = attempt.calls + 1
    returning payment_id, idempotency_key, calls
)
select id, operation, idempotency_key, payment_token, gateway_reference, amount, currency, calls, claimed_until
from claimed join attempted on payment_id = id
"""
_RECORD = """
update payments_payment as payment
set status = told.status, wanted = told.wanted, reason = told.reason, gateway_reference = told.reference,
    payment_token = told.token, claimed_until = null, updated_at = statement_timestamp(),
    due_at = statement_timestamp() + make_interval(secs => told.pause)
from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[])
    as told (id, status, wanted, reason, reference, token, pause)
where payment.id = told.id
"""
_NOTE_ATTEMPTS = """
update payments_attempt as attempt
set outcome = told.outcome,
    finished_at = case when told.finished then statement_timestamp() else attempt.finished_at end
from unnest(%s::text[], %s::text[], %s::bool[]) as told (key, outcome, finished)
where attempt.idempotency_key = told.key
"""


@dataclass(frozen=True)
class Call:
    """A call to the gateway that one worker alone may make, until `claimed_until`. `calls` counts this one, too."""

    payment_id: UUID
    operation: Operation
    key: str
    token: str
    reference: str
    amount: int
    currency: str
    calls: int
    claimed_until: datetime


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
    key: str
    outcome: str
    event: Event | None = None
    pause: float = 0.0


def claim_calls(limit: int) -> list[Call]:
    """Claim up to `limit` payments that want something and that nobody holds, longest due first; store the attempts."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"limit": max(limit, 0), "seconds": CLAIM_SECONDS})
        return [Call(row[0], Operation(row[1]), *row[2:]) for row in cursor.fetchall()]


@transaction.atomic
def record_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Write down what the gateway did and tell the others. What still wants something is due again.

    A worker that slept past its claim records nothing: whoever claimed after it gets the same answer.
    """
    held = lock_claimed([outcome.call for outcome in outcomes])
    results = []
    for outcome in outcomes:
        if payment := held.get(outcome.call.payment_id):
            results.append(apply_outcome(payment, outcome))
        else:
            logger.warning("claim lost", extra={"payment": outcome.call.payment_id})
    if results:
        write_results(results)
        publish_many([result.event for result in results if result.event])


def lock_claimed(calls: Sequence[Call]) -> dict[UUID, Payment]:
    """Lock the calls' payments whose claims still stand, in the order of their orders, as the handlers do."""
    claims = {call.payment_id: call.claimed_until for call in calls}
    locked = Payment.objects.select_for_update().filter(pk__in=claims).order_by("order_id")
    return {payment.pk: payment for payment in locked if payment.claimed_until == claims[payment.pk]}


def apply_outcome(payment: Payment, outcome: Outcome) -> Result:
    """Change the locked `payment` as the gateway's answer says; a problem makes it wait for a growing pause."""
    call, answer, problem = outcome.call, outcome.answer, outcome.problem
    if answer and answer.outcome == "declined" and call.operation != Operation.authorize:
        problem = f"declined: {answer.reason}"
    if answer is None or problem:
        pause = min(2.0 ** min(call.calls, 10), MAX_PAUSE_SECONDS)
        logger.warning("payment postponed", extra={"payment": payment.pk, "operation": call.operation, "why": problem})
        return Result(payment, call.key, problem[:300], pause=pause)
    return Result(payment, call.key, answer.outcome, event=apply_answer(payment, call.operation, answer))


def apply_answer(payment: Payment, operation: Operation, answer: GatewayAnswer) -> Event:
    """Change `payment` as the gateway's answer says, and return what is to be told of it.

    A cancellation that came while it was being authorized stays wanted.
    """
    payment.payment_token = ""
    order_id, currency = payment.order_id, payment.currency
    if operation != Operation.authorize:
        captured = operation == Operation.capture
        payment.status, payment.wanted = (Status.captured if captured else Status.voided), Wanted.nothing
        event = PaymentCaptured if captured else PaymentVoided
        return event(order_id=order_id, amount=answer.amount, currency=currency)
    if answer.outcome == "declined":
        payment.status, payment.wanted, payment.reason = Status.declined, Wanted.nothing, answer.reason[:200]
        return PaymentDeclined(order_id=order_id, amount=payment.amount, currency=currency, reason=payment.reason)
    payment.status, payment.gateway_reference = Status.authorized, answer.reference
    if payment.wanted == Wanted.authorize:
        payment.wanted = Wanted.nothing
    return PaymentAuthorized(order_id=order_id, amount=answer.amount, currency=currency)


def write_results(results: Sequence[Result]) -> None:
    """Write the changed payments and what is noted on their attempts, and give the claims back."""
    fields = ("pk", "status", "wanted", "reason", "gateway_reference", "payment_token")
    columns = [[getattr(result.payment, field) for result in results] for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [*columns, [result.pause for result in results]])
        keys, outcomes = [result.key for result in results], [result.outcome for result in results]
        cursor.execute(_NOTE_ATTEMPTS, [keys, outcomes, [result.event is not None for result in results]])
