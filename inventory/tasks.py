"""Celery tasks of inventory. A lost or duplicate task does no harm, because the work is stored in the backorders."""

from celery import shared_task

from inventory import backorders


@shared_task  # type: ignore[untyped-decorator]
def tend_backorders() -> None:
    """Answer the backorders whose time is over, and those that a concurrent consumer could not serve."""
    backorders.tend_backorders()
