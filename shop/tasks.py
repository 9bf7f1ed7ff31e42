"""What Celery does for the whole shop: its own sign of life, which proves beat and worker, and the outbox's upkeep."""

from celery import shared_task
from celery.signals import beat_init, worker_ready
from django.db import connection

from relay.conf import configuration
from relay.heartbeat import beat
from relay.operations.prune import prune
from relay.partitions import ensure_partitions
from shop.accounts.sessions import delete_expired


@shared_task  # type: ignore[untyped-decorator]
def beat_heart() -> None:
    """Record that beat and a worker are at work."""
    beat("celery")


@shared_task  # type: ignore[untyped-decorator]
def tend_outbox() -> None:
    """Make partitions of the outbox ahead and drop those that are over."""
    ensure_partitions()
    prune(actor="beat", reason=f"older than {configuration().keep_days} days")


@shared_task  # type: ignore[untyped-decorator]
def end_old_log_ins() -> None:
    """Delete the log-ins that have run out."""
    delete_expired()


@worker_ready.connect  # type: ignore[untyped-decorator]
def _tell_worker_ready(**_sent: object) -> None:
    """The worker takes tasks from now on; the first periodic heartbeat comes later."""
    beat("celery")
    connection.close()


@beat_init.connect  # type: ignore[untyped-decorator]
def _tell_beat_ready(**_sent: object) -> None:
    beat("beat")
    connection.close()
