"""Claims of payments. A worker claims a payment and stores its attempt before it calls the gateway.

A worker may die at any point. The next worker repeats an unrecorded call with the same idempotency key, so the gateway
returns the same answer and no money moves twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import connection

from payments.models import Operation, Payment
from relay.arrays import to_array

#: Duration of a claim in seconds. A lookup and a call must end within it.
CLAIM_SECONDS = 30

# A started authorization or capture of a cancelled order is completed first, because only the gateway knows its
# outcome; then the money is voided or refunded. A refund newer than this statement's snapshot waits for the next claim.
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
    returning payment.*, case when status = 'pending' then 'authorize'
                              when status = 'authorized' and wanted = 'refund' then 'capture'
                              else wanted end as operation
),
asked as (
    select claimed.*, refund.id as refund_id, coalesce(refund.amount, claimed.amount) as asked_amount,
           claimed.id || ':' || operation || coalesce(':' || refund.number, '') as key
    from claimed left join lateral (
        select id, number, amount from payments_refund
        where operation = 'refund' and payment_id = claimed.id and status in ('wanted', 'pending')
        order by due_at, number limit 1
    ) as refund on true
    where operation <> 'refund' or refund.id is not null
),
attempted as (
    insert into payments_attempt as attempt
        (payment_id, refund_id, operation, idempotency_key, calls, outcome, started_at)
    select id, refund_id, operation, key, 1, '', statement_timestamp() from asked
    on conflict (idempotency_key) do update set calls = attempt.calls + 1
    returning idempotency_key, calls
)
select id, operation, key, payment_token, gateway_reference, asked_amount, currency, calls, claimed_until, refund_id
from asked join attempted on idempotency_key = key
"""
# Unused columns are omitted, because parsing timestamps is slow.
_LOCK = """
select id, order_id, amount, currency, payment_token, status, wanted, reason, captured_amount, refunded_amount,
       gateway_reference, claimed_until
from payments_payment where {column} = any(%s::uuid[]) order by order_id for update
"""


@dataclass(frozen=True)
class Call:
    """A call to the gateway. Only one worker may make it, until `claimed_until`. `calls` includes this call."""

    payment_id: UUID
    operation: Operation
    key: str
    token: str
    reference: str
    amount: int
    currency: str
    calls: int
    claimed_until: datetime
    refund_id: int | None


def claim_calls(limit: int) -> list[Call]:
    """Claim at most `limit` due payments that no worker holds, longest due first, and store and return their calls."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"limit": max(limit, 0), "seconds": CLAIM_SECONDS})
        return [Call(row[0], Operation(row[1]), *row[2:]) for row in cursor.fetchall()]


def lock_claimed(calls: Sequence[Call]) -> dict[UUID, Payment]:
    """Lock the calls' payments and return, by id, those whose claims are still valid."""
    claims = {call.payment_id: call.claimed_until for call in calls}
    locked = lock_payments("id", claims)
    return {payment.pk: payment for payment in locked if payment.claimed_until == claims[payment.pk]}


def lock_payments(column: Literal["id", "order_id"], values: Iterable[UUID]) -> list[Payment]:
    """Lock and return the payments whose `column` is in `values`, sorted by order id to avoid deadlocks."""
    return list(Payment.objects.raw(_LOCK.format(column=column), [to_array(values)]))
