"""Concurrent calls to the gateway, each in its own thread, so that a slow call delays no other.

Payments are claimed and recorded in batches. Each payment has its own call with its own idempotency key.
"""

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.db import close_old_connections, connection

from payments.gateways.protocol import (
    CALL_SECONDS,
    GatewayAnswer,
    GatewayFailed,
    GatewayUnavailable,
    MalformedAnswer,
    SearchUnfinished,
    check_answer,
    load_gateway,
)
from payments.models import Operation
from payments.settlement.claims import CLAIM_SECONDS, Call, claim_calls
from payments.settlement.decisions import FinishedCall
from payments.settlement.results import record_calls

logger = logging.getLogger(__name__)

#: Maximum number of payments per batch, and of late calls at any time.
MOST_CALLS = 100
#: Threads mostly wait for answers. If a call takes half a second, 64 threads make 128 calls per second.
THREADS = 64
#: A batch ends when no call finishes for this long. Its running calls are then late and recorded when they end.
PATIENCE_SECONDS = 0.5

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway")
# One thread records all late calls that have ended. If the calls' own threads recorded them, new calls would wait for
# these threads and become late themselves, for as long as the queue is not empty.
_recorder = ThreadPoolExecutor(1, thread_name_prefix="late")
_late: set[Future[FinishedCall]] = set()
_late_changed = threading.Condition()


def settle_due_payments() -> int:
    """Claim due payments, call the gateway and record the answers. Return the number of claimed payments.

    Slow calls continue after the return, within their claims, and are recorded when they end. With MOST_CALLS late
    calls no payment is claimed.
    """
    with _late_changed:
        _late_changed.wait_for(lambda: len(_late) < MOST_CALLS, PATIENCE_SECONDS)
    began = time.monotonic()
    calls = claim_calls(MOST_CALLS - len(_late))
    begin_by = began + CLAIM_SECONDS - 2 * CALL_SECONDS  # a call takes at most CALL_SECONDS
    running = {_threads.submit(make_call, call, begin_by) for call in calls}
    while running:
        done, running = wait(running, PATIENCE_SECONDS)
        if not done:
            record_later(running)
            break
        record_calls([future.result() for future in done])
    return len(calls)


def make_call(call: Call, begin_by: float) -> FinishedCall:
    """Call the gateway, unless `begin_by` (monotonic clock) has passed, and return the finished call."""
    if time.monotonic() > begin_by:
        return FinishedCall(call, problem="not called: the gateway is too slow for the batch")
    try:
        return FinishedCall(call, answer=ask(call))
    except SearchUnfinished as unfinished:
        return FinishedCall(call, cursor=unfinished.cursor)
    except (GatewayUnavailable, MalformedAnswer) as error:
        failed = call.sends and isinstance(error, GatewayFailed)
        return FinishedCall(call, problem=f"{type(error).__name__}: {error}", is_gateway_error=failed)
    except Exception as error:
        logger.exception("gateway client failed", extra={"payment": call.payment_id})
        return FinishedCall(call, problem=f"{type(error).__name__}: {error}")


def ask(call: Call) -> GatewayAnswer | None:
    """Send `call` to the gateway, or look up its earlier result, and return the checked answer.

    Return None if the lookup found no result. The call is then sent again with the same key by a later claim, because
    the first request may still be on its way.

    :raises GatewayUnavailable: no usable answer; the outcome is unknown.
    :raises MalformedAnswer: the answer cannot belong to this call.
    """
    gateway = load_gateway()
    answer: GatewayAnswer | None
    if not call.sends:
        answer = gateway.lookup(call.key, call.reference, sent_at=call.sent_at, cursor=call.cursor)
        if answer is None:
            return None
    else:
        match call.operation:
            case Operation.authorize:
                answer = gateway.authorize(call.key, call.token, call.amount, call.currency)
            case Operation.capture:
                answer = gateway.capture(call.key, call.reference, call.amount)
            case Operation.void:
                answer = gateway.void(call.key, call.reference)
            case Operation.refund:
                answer = gateway.refund(call.key, call.reference, call.amount)
    return check_answer(answer, reference=call.reference, amount=call.amount, currency=call.currency)


def record_later(running: Iterable[Future[FinishedCall]]) -> None:
    """Let the recorder thread record the `running` calls when they end."""
    for future in running:
        with _late_changed:
            _late.add(future)
        future.add_done_callback(lambda _: _recorder.submit(record_late))


def record_late() -> None:
    """Record all late calls that have ended. After a failure their claims end and another worker looks them up."""
    with _late_changed:
        ended = {future for future in _late if future.done()}
    if not ended:
        return  # already recorded together with another call
    try:
        close_old_connections()
        record_calls([future.result() for future in ended if not future.exception()])
    except Exception:
        logger.exception("late calls not recorded", extra={"calls": len(ended)})
    finally:
        connection.close()
        with _late_changed:
            _late.difference_update(ended)
            _late_changed.notify_all()
