"""The periodic task of analytics."""

from celery import shared_task

from analytics.sessions import compute_sessions


@shared_task  # type: ignore[untyped-decorator]
def compute_touched_sessions() -> None:
    """Compute the sessions of visitors with new activities."""
    compute_sessions()
