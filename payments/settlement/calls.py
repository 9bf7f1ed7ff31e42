"""Many calls to the gateway at once, each in a thread of its own; one that is slow holds up no other.

Claims and records go by the batch; the call in between is each payment's own, under its own idempotency key.
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
    GatewayUnavailable,
    MalformedAnswer,
    check_answer,
    load_gateway,
)
from payments.models import Operation
from payments.settlement.claims import CLAIM_SECONDS, Call, claim_calls
from payments.settlement.results import FinishedCall, record_calls

logger = logging.getLogger(__name__)

MOST_CALLS = 100
#: Each waits for an answer most of its time: a gateway that takes half a second is asked 128 times a second.
THREADS = 64
#: A batch whose calls make no progress for so long is left: what is still under way is recorded when it ends.
PATIENCE_SECONDS = 0.5

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway")
# What was left is recorded by one thread, all that has ended at once. Were it done by the calls' own threads, the next
# calls would wait for these, and be left in their turn: once begun, that went on for as long as there was a queue.
_recorder = ThreadPoolExecutor(1, thread_name_prefix="late")
_late: set[Future[FinishedCall]] = set()
_late_changed = threading.Condition()


def settle_due_payments() -> int:
    """Claim what is due, call, and record what the gateway answered; return how many payments were claimed.

    Returning does not mean that each has its answer: slow calls go on without a caller, within their claims. While
    there are MOST_CALLS of those nothing more is claimed.
    """
    with _late_changed:
        _late_changed.wait_for(lambda: len(_late) < MOST_CALLS, PATIENCE_SECONDS)
    began = time.monotonic()
    calls = claim_calls(MOST_CALLS - len(_late))
    begin_by = began + CLAIM_SECONDS - 2 * CALL_SECONDS
    running = {_threads.submit(make_call, call, begin_by) for call in calls}
    while running:
        done, running = wait(running, PATIENCE_SECONDS)
        if not done:
            leave(running)
            break
        record_calls([future.result() for future in done])
    return len(calls)


def make_call(call: Call, begin_by: float) -> FinishedCall:
    """Call the gateway, unless the monotonic clock says that the claim might end meanwhile, and say how it went."""
    if time.monotonic() > begin_by:
        return FinishedCall(call, problem="not called: the gateway is too slow for so many")
    try:
        return FinishedCall(call, answer=ask(call))
    except (GatewayUnavailable, MalformedAnswer) as error:
        return FinishedCall(call, problem=f"{type(error).__name__}: {error}")
    except Exception as error:
        logger.exception("the gateway's client failed", extra={"payment": call.payment_id})
        return FinishedCall(call, problem=f"{type(error).__name__}: {error}")


def ask(call: Call) -> GatewayAnswer:
    """Return the gateway's answer, checked.

    An attempt that was begun before may have been carried out, so it is looked up first. When the gateway does not
    know it, it is sent again under the same key: the first request may still be on its way.

    :raises GatewayUnavailable: no answer; what the gateway did is unknown.
    :raises MalformedAnswer: an answer that cannot be meant for this call.
    """
    gateway = load_gateway()
    answer = gateway.lookup(call.key, call.reference) if call.calls > 1 else None
    if answer is None:
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


def leave(running: Iterable[Future[FinishedCall]]) -> None:
    """Have these calls recorded when they end."""
    for future in running:
        with _late_changed:
            _late.add(future)
        future.add_done_callback(lambda _: _recorder.submit(record_late))


def record_late() -> None:
    """Record all that were left and have ended. A failure here is a worker's death: claims end and are looked up."""
    with _late_changed:
        ended = {future for future in _late if future.done()}
    if not ended:
        return  # recorded with another one
    try:
        close_old_connections()
        record_calls([future.result() for future in ended if not future.exception()])
    except Exception:
        logger.exception("calls that took long are not recorded", extra={"calls": len(ended)})
    finally:
        connection.close()
        with _late_changed:
            _late.difference_update(ended)
            _late_changed.notify_all()
