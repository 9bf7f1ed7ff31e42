"""Celery's own sign of life: beat rings it, a worker answers it, so that a fresh heartbeat proves both."""

from celery import shared_task
from celery.signals import beat_init, worker_ready
from django.db import connection

from relay.heartbeat import beat


@shared_task  # type: ignore[untyped-decorator]
def beat_heart() -> None:
    """Record that beat and a worker are at work."""
    beat("celery")


@worker_ready.connect  # type: ignore[untyped-decorator]
def _tell_worker_ready(**_sent: object) -> None:
    """The worker takes tasks from now on; the first periodic heartbeat comes later."""
    beat("celery")
    connection.close()


@beat_init.connect  # type: ignore[untyped-decorator]
def _tell_beat_ready(**_sent: object) -> None:
    beat("beat")
    connection.close()
