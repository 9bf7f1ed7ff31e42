"""Periodic tasks of the whole shop: the look at all queues, and the maintenance of the outbox and log-ins."""

import logging
from contextlib import suppress

from celery import shared_task
from celery.signals import beat_init, worker_ready
from django.db import connection

from analytics.tasks import compute_touched_sessions
from inventory.tasks import tend_backorders
from notifications.tasks import send_messages
from payments.tasks import settle_payments
from relay.conf import configuration
from relay.heartbeat import beat
from relay.operations import Refused
from relay.operations.prune import prune
from relay.operations.streams import prune_streams
from relay.partitions import ensure_partitions
from shop.accounts.sessions import delete_expired
from shop.control.ledger.checks import delete_old_windows
from shop.control.ledger.verification import request
from shop.control.sampler import delete_old_samples
from shop.vault import tokens

logger = logging.getLogger(__name__)

#: The work of every five seconds. The last two may keep the thread while rows are due.
QUEUES = (tend_backorders, compute_touched_sessions, settle_payments, send_messages)


@shared_task  # type: ignore[untyped-decorator]
def tend_queues() -> None:
    """Record a heartbeat, which shows that both beat and a worker run, then process what is due in each queue.

    One task for all queues, because sending and receiving a task costs more than a look at an empty queue.
    """
    beat("celery")
    for tend in QUEUES:
        try:
            tend()
        except Exception:
            logger.exception("a queue could not be processed", extra={"queue": tend.name})


@shared_task  # type: ignore[untyped-decorator]
def tend_outbox() -> None:
    """Create the next partitions of the outbox. Drop those older than `keep_days`, and streams without events."""
    ensure_partitions()
    reason = f"older than {configuration().keep_days} days"
    prune(actor="beat", reason=reason)
    prune_streams(actor="beat", reason=reason)


@shared_task  # type: ignore[untyped-decorator]
def end_old_log_ins() -> None:
    """Delete the expired log-ins."""
    delete_expired()


@shared_task  # type: ignore[untyped-decorator]
def forget_payment_tokens() -> None:
    """Delete the payment tokens of orders whose deadline has passed."""
    tokens.forget_tokens()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_samples() -> None:
    """Delete the samples of the control room that are older than two days, and old windows of the ledger."""
    delete_old_samples()
    delete_old_windows()


@shared_task  # type: ignore[untyped-decorator]
def verify_nightly() -> None:
    """Request a full verification, unless one is running."""
    with suppress(Refused):
        request(by="beat", reason="every night")


@worker_ready.connect  # type: ignore[untyped-decorator]
def _record_worker_ready(**_sent: object) -> None:
    """Record a heartbeat when the worker is ready, before the first periodic one."""
    beat("celery")
    connection.close()


@beat_init.connect  # type: ignore[untyped-decorator]
def _record_beat_ready(**_sent: object) -> None:
    beat("beat")
    connection.close()
