"""Periodic tasks of the whole shop: the heartbeat of beat and worker, and the maintenance of the outbox and log-ins."""

from contextlib import suppress

from celery import shared_task
from celery.signals import beat_init, worker_ready
from django.db import connection

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


@shared_task  # type: ignore[untyped-decorator]
def beat_heart() -> None:
    """Record a heartbeat, which shows that both beat and a worker run."""
    beat("celery")


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
