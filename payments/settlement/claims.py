"""Which call to the gateway is made by whom: a claim, with the attempt stored before anything is called.

It is safe to die anywhere: what was not recorded is asked for again under the same idempotency key, so the gateway
gives the same answer and no money moves twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import connection

from payments.models import Operation, Payment
from relay.arrays import to_array

#: How long a worker may hold a payment. Looking up and calling must be over by then, with an answer or without.
CLAIM_SECONDS = 30

# A payment cancelled after its authorization was begun is authorized to the end, because only the gateway knows
# whether money is held; then it is given back. So is one cancelled after its capture was begun. The attempts are
# stored by the statement that claims. A refund that was written after this statement's snapshot is left for the next.
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
# Columns that are not needed are left out: those of times cost most to read.
_LOCK = """
select id, order_id, amount, currency, payment_token, status, wanted, reason, captured_amount, refunded_amount,
       gateway_reference, claimed_until
from payments_payment where {column} = any(%s::uuid[]) order by order_id for update
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
    refund_id: int | None


def claim_calls(limit: int) -> list[Call]:
    """Claim up to `limit` payments that want something and that nobody holds, longest due first; store the attempts."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"limit": max(limit, 0), "seconds": CLAIM_SECONDS})
        return [Call(row[0], Operation(row[1]), *row[2:]) for row in cursor.fetchall()]


def lock_claimed(calls: Sequence[Call]) -> dict[UUID, Payment]:
    """Lock the calls' payments whose claims still stand, in the order of their orders, as the handlers do."""
    claims = {call.payment_id: call.claimed_until for call in calls}
    locked = lock_payments("id", claims)
    return {payment.pk: payment for payment in locked if payment.claimed_until == claims[payment.pk]}


def lock_payments(column: Literal["id", "order_id"], values: Iterable[UUID]) -> list[Payment]:
    """Lock the payments whose `column` is one of `values`, in the order of their orders, and return them so."""
    return list(Payment.objects.raw(_LOCK.format(column=column), [to_array(values)]))
