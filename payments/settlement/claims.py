"""Claims of payments. A worker claims a payment and stores its attempt before it calls the gateway.

A worker may die at any point. The next worker repeats an unrecorded call with the same idempotency key, so the gateway
returns the same answer and no money moves twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.db import connection

from payments.models import Operation, Payment
from relay.arrays import to_array

#: Duration of a claim in seconds. A call must end within it.
CLAIM_SECONDS = 30
#: An authorization is captured at the latest this long before it ends. Staff then have this time to act.
HOLD_MARGIN = timedelta(days=1)

# A claim is one step at the gateway: it sends the call, or it looks up the result of an earlier call. After the first
# call each call is sent only if the lookup before it found no result. The claim decides, so a cancellation that is
# stored by then is respected: an authorization of a cancelled order is looked up and never sent.
# Otherwise a started authorization or capture of a cancelled order is completed first, because only the gateway knows
# its outcome; then the money is voided or refunded. A refund newer than this statement's snapshot waits for the next
# claim.
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
                              when status in ('authorized', 'failed') and wanted = 'refund' then 'capture'
                              else wanted end as operation
),
chosen as (
    select claimed.*, refund.id as refund_id, coalesce(refund.amount, claimed.amount) as asked_amount,
           claimed.id || ':' || operation || coalesce(':' || refund.number, '') as name
    from claimed left join lateral (
        select id, number, amount from payments_refund
        where operation = 'refund' and payment_id = claimed.id and status in ('wanted', 'pending')
        order by due_at, number limit 1
    ) as refund on true
    where operation <> 'refund' or refund.id is not null
),
numbered as (
    select chosen.*, closed.count + 1 as number, closed.calls as closed_calls, closed.sent_at as closed_sent_at,
           name || case when closed.count > 0 then '~' || closed.count + 1 else '' end as key
    from chosen cross join lateral (
        select count(*) as count, coalesce(sum(calls), 0) as calls, max(sent_at) as sent_at from payments_attempt
        where payment_id = chosen.id and operation = chosen.operation and is_closed
          and refund_id is not distinct from chosen.refund_id
    ) as closed
),
asked as (
    select numbered.*, coalesce(known.sent_at, closed_sent_at) as sent_at, known.sent_at is not null as was_sent,
           coalesce(known.cursor, '') as cursor,
           not (numbered.operation = 'authorize' and wanted = 'void')
           and coalesce(known.is_absent, number = 1) as sends
    from numbered left join payments_attempt as known on known.idempotency_key = numbered.key
),
attempted as (
    insert into payments_attempt as attempt
        (payment_id, refund_id, operation, idempotency_key, calls, outcome, started_at, sent_at)
    select id, refund_id, operation, key, 1, '', statement_timestamp(), case when sends then statement_timestamp() end
    from asked
    on conflict (idempotency_key) do update
    set calls = attempt.calls + (not attempt.is_absent and attempt.cursor = '')::int, is_absent = false,
        sent_at = coalesce(excluded.sent_at, attempt.sent_at)
    returning idempotency_key, calls
)
select id, operation, key, payment_token, gateway_reference, asked_amount, currency, calls, claimed_until, refund_id,
       sends, number, closed_calls + calls, cursor, was_sent, sent_at, statement_timestamp(),
       created_at < statement_timestamp() - make_interval(secs => %(hold)s)
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
    """A step at the gateway. Only one worker may take it, until `claimed_until`.

    `calls` includes this step. A lookup and the call after it count once.

    The step sends the call if `sends` is true; otherwise it looks up an earlier call, from `cursor` on. `number` is the
    number of the attempt, from 1, and `steps` the number of calls of all attempts. `was_sent` is true if this
    attempt was sent before. The last request of all attempts was sent at `sent_at`; `claimed_at` is the time of the
    claim by the same clock. `is_late` is true if the authorization ends within HOLD_MARGIN.
    """

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
    sends: bool
    number: int
    steps: int
    cursor: str
    was_sent: bool
    sent_at: datetime | None
    claimed_at: datetime
    is_late: bool


def claim_calls(limit: int) -> list[Call]:
    """Claim at most `limit` due payments that no worker holds, longest due first, and store and return their calls."""
    with connection.cursor() as cursor:
        hold = timedelta(days=settings.PAYMENT_HOLD_DAYS) - HOLD_MARGIN
        values = {"limit": max(limit, 0), "seconds": CLAIM_SECONDS, "hold": hold.total_seconds()}
        cursor.execute(_CLAIM, values)
        return [Call(row[0], Operation(row[1]), *row[2:]) for row in cursor.fetchall()]


def lock_claimed(calls: Sequence[Call]) -> dict[UUID, Payment]:
    """Lock the calls' payments and return, by id, those whose claims are still valid."""
    claims = {call.payment_id: call.claimed_until for call in calls}
    locked = lock_payments("id", claims)
    return {payment.pk: payment for payment in locked if payment.claimed_until == claims[payment.pk]}


def lock_payments(column: Literal["id", "order_id"], values: Iterable[UUID]) -> list[Payment]:
    """Lock and return the payments whose `column` is in `values`, sorted by order id to avoid deadlocks."""
    return list(Payment.objects.raw(_LOCK.format(column=column), [to_array(values)]))
