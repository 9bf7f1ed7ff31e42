"""The periodic tasks of analytics."""

from celery import shared_task

from analytics.seal import seal_days
from analytics.sessions import compute_sessions


@shared_task  # type: ignore[untyped-decorator]
def compute_touched_sessions() -> None:
    """Compute the sessions of visitors with new activities."""
    compute_sessions()


@shared_task  # type: ignore[untyped-decorator]
def seal_complete_days() -> None:
    """Store the checksums of past days that are complete."""
    seal_days()
