"""Periodic tasks of the whole shop: the heartbeat of beat and worker, and the maintenance of the outbox and log-ins."""

from celery import shared_task
from celery.signals import beat_init, worker_ready
from django.db import connection

from relay.conf import configuration
from relay.heartbeat import beat
from relay.operations.prune import prune
from relay.partitions import ensure_partitions
from shop.accounts.sessions import delete_expired
from shop.control.sampler import delete_old_samples


@shared_task  # type: ignore[untyped-decorator]
def beat_heart() -> None:
    """Record a heartbeat, which shows that both beat and a worker run."""
    beat("celery")


@shared_task  # type: ignore[untyped-decorator]
def tend_outbox() -> None:
    """Create the next partitions of the outbox, and drop those that are older than `keep_days`."""
    ensure_partitions()
    prune(actor="beat", reason=f"older than {configuration().keep_days} days")


@shared_task  # type: ignore[untyped-decorator]
def end_old_log_ins() -> None:
    """Delete the expired log-ins."""
    delete_expired()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_samples() -> None:
    """Delete the samples of the control room that are older than two days."""
    delete_old_samples()


@worker_ready.connect  # type: ignore[untyped-decorator]
def _record_worker_ready(**_sent: object) -> None:
    """Record a heartbeat when the worker is ready, before the first periodic one."""
    beat("celery")
    connection.close()


@beat_init.connect  # type: ignore[untyped-decorator]
def _record_beat_ready(**_sent: object) -> None:
    beat("beat")
    connection.close()
