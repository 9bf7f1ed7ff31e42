"""Results of calls: answers are recorded and published as events in one short transaction after the calls."""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from payments.casebook import report
from payments.models import Operation, Refund
from payments.settlement.claims import Call, lock_claimed
from payments.settlement.decisions import MOST_EQUAL_ERRORS, FinishedCall, Result, apply_call
from relay import publish_many

logger = logging.getLogger(__name__)

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
# A null outcome keeps the old one, with which the next error is compared.
_NOTE_ATTEMPTS = """
update payments_attempt as attempt
set outcome = coalesce(told.outcome, attempt.outcome), is_absent = told.absent, cursor = told.cursor,
    finished_at = case when told.finished then statement_timestamp() else attempt.finished_at end,
    equal_errors = case when not told.failed then attempt.equal_errors
                        when told.outcome = attempt.outcome then attempt.equal_errors + 1 else 1 end,
    is_closed = told.closed or (told.failed and told.outcome = attempt.outcome
                                and attempt.equal_errors + 1 >= told.most)
from unnest(%s::text[], %s::text[], %s::bool[], %s::bool[], %s::bool[], %s::bool[], %s::text[], %s::int[])
    as told (key, outcome, finished, closed, failed, absent, cursor, most)
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
        if findings := [result.finding for result in results if result.finding]:
            report(findings)


def find_further_refunds(calls: Sequence[Call]) -> set[UUID]:
    """Return the ids of the calls' payments that have another open refund than the called one."""
    refunds = [call for call in calls if call.operation == Operation.refund]
    if not refunds:
        return set()
    further = Refund.objects.filter(payment_id__in=[call.payment_id for call in refunds], status__in=Refund.OPEN)
    return set(further.exclude(pk__in=[call.refund_id for call in refunds]).values_list("payment_id", flat=True))


def write_results(results: Sequence[Result]) -> None:
    """Store the changed payments, refunds and attempts, and release the claims."""
    columns = [[getattr(result.payment, field) for result in results] for field in _WRITTEN]
    attempts = [describe_attempt(result) for result in results]
    refunds = [describe_refund(result) for result in results if result.call.refund_id]
    with connection.cursor() as cursor:
        if refunds:  # before the payments, whose due times depend on the due times of their open refunds
            cursor.execute(_RECORD_REFUNDS, [list(column) for column in zip(*refunds, strict=True)])
        cursor.execute(_RECORD, [*columns, [result.pause for result in results]])
        cursor.execute(_NOTE_ATTEMPTS, [list(column) for column in zip(*attempts, strict=True)])


def describe_attempt(result: Result) -> tuple[str, str | None, bool, bool, bool, bool, str, int]:
    """Return the new values of a call's attempt, and the number of equal errors after which it is closed."""
    call = result.call
    return (
        *(call.key, result.outcome, result.is_finished, result.is_closed, result.is_gateway_error),
        *(result.is_absent, result.cursor, MOST_EQUAL_ERRORS * 2 ** min(call.number - 1, 20)),
    )


def describe_refund(result: Result) -> tuple[int | None, str | None, str | None, float]:
    """Return the refund's id, its new status and reason (None if unchanged), and the seconds until it is due."""
    refund_id, pause = result.call.refund_id, result.pause
    if result.is_pending:
        return refund_id, Refund.Status.pending, None, pause
    if result.answer is None:
        return refund_id, None, None, pause
    status = Refund.Status.done if result.answer.outcome == "approved" else Refund.Status.declined
    return refund_id, status, result.answer.reason[:200], pause
